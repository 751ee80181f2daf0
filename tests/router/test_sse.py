"""Counting and stripping of event streams, for any content and any chunking."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_router.sse import StreamMeter, answer_usage
from presage_router.summary import Summary, SummaryFilter

# Text that looks like what is searched for must not confuse the search.
texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            ',"usage":{"completion_tokens":99}}',
            '"usage": null}',
            "data: [DONE]\n\n",
            '"choices":[]',
            ': presage-summary {"output_tokens":7}',
        ]
    ),
)
separators = st.sampled_from([(",", ":"), (", ", ": ")])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, int, list[str]]:
    """Draw a stream with usage in every chunk: its bytes, its tokens, its texts."""
    pieces = draw(st.lists(st.tuples(texts, st.integers(0, 4)), max_size=8))
    style = draw(separators)
    ascii_only = draw(st.booleans())
    end = draw(st.sampled_from(["\n\n", "\r\n\r\n"]))
    total, events = 0, []

    def event(document: dict[str, Any]) -> None:
        events.append("data: " + json.dumps(document, separators=style, ensure_ascii=ascii_only) + end)

    for text, tokens in pieces:
        total += tokens
        details = {"reasoning_tokens": 3}
        usage = {"completion_tokens_details": details, "prompt_tokens": 9, "completion_tokens": total}
        event({"id": "x", "choices": [{"index": 0, "delta": {"content": text}}], "usage": usage})
    event({"id": "x", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": total}})
    events.append("data: [DONE]" + end)
    whole = "".join(events).encode("utf-8", "surrogatepass")
    return whole, total, [text for text, _ in pieces]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """Cut bytes at the given places."""
    places = sorted({place % (len(data) + 1) for place in at} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def documents(stream: bytes) -> list[Any]:
    """Return the decoded data of every event but `[DONE]`."""
    lines = stream.decode("utf-8", "surrogatepass").replace("\r\n", "\n").split("\n\n")
    data = [line.removeprefix("data: ") for line in lines if line]
    return [json.loads(item) for item in data if item != "[DONE]"]


@settings(max_examples=200, deadline=None)
@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_counts_do_not_depend_on_the_chunking(stream: tuple[bytes, int, list[str]], at: list[int]) -> None:
    """Any cutting of a stream gives its true token counts, and the same bytes out as in one piece."""
    whole, tokens, _ = stream
    once = StreamMeter(keep_final=False, keep_continuous=False)
    expected = once.feed(whole)
    meter = StreamMeter(keep_final=False, keep_continuous=False)
    out = b"".join(meter.feed(piece) for piece in cut(whole, at))
    assert (meter.tokens, meter.prompt_tokens, meter.done) == (tokens, 9, True)
    assert out == expected


@settings(max_examples=200, deadline=None)
@given(streams(), st.booleans(), st.booleans())
def test_a_client_gets_what_it_asked_for(
    stream: tuple[bytes, int, list[str]], final: bool, continuous: bool
) -> None:
    """Every text arrives unchanged; usage arrives in the chunks that the client asked for, in no other."""
    whole, tokens, texts_sent = stream
    meter = StreamMeter(keep_final=final, keep_continuous=continuous)
    out = documents(meter.feed(whole))
    contents = [d["choices"][0]["delta"]["content"] for d in out if d["choices"]]
    assert contents == texts_sent
    assert all(("usage" in d) == (final and continuous) for d in out if d["choices"])
    finals = [d["usage"]["completion_tokens"] for d in out if not d["choices"]]
    assert finals == ([tokens] if final else [])


@given(st.lists(texts, max_size=8), st.integers(0, 20))
def test_without_usage_chunks_with_content_count(contents: list[str], final: int) -> None:
    """An engine that sends no usage is counted a token per chunk with content; a final usage corrects it."""
    meter = StreamMeter(keep_final=True, keep_continuous=False)
    for text in contents:
        event = {"choices": [{"index": 0, "delta": {"content": text}}], "usage": None}
        meter.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert meter.tokens == sum(1 for text in contents if text)
    meter.feed(b'data: {"choices":[],"usage":{"completion_tokens":%d,"prompt_tokens":1}}\n\n' % final)
    assert meter.tokens == final


def test_usage_that_does_not_stand_last_is_found() -> None:
    """Usage anywhere in the object is read and taken out; the rest of the object stays."""
    meter = StreamMeter(keep_final=False, keep_continuous=False)
    event = b'data: {"usage":{"completion_tokens":3},"choices":[{"delta":{"content":"a"}}],"x":1}\n\n'
    assert documents(meter.feed(event)) == [{"choices": [{"delta": {"content": "a"}}], "x": 1}]
    assert meter.tokens == 3


def test_comments_and_foreign_bytes_pass_untouched() -> None:
    """What is no data event travels on byte for byte."""
    meter = StreamMeter(keep_final=False, keep_continuous=False)
    foreign = b": ping\n\nevent: x\n\ndata: not json\n\ndata: 7\n\n"
    assert meter.feed(foreign) == foreign
    assert meter.tokens == 0


def test_an_engines_own_error_event_is_known() -> None:
    """An error event marks the stream as failed, so that its end without `[DONE]` is no surprise."""
    meter = StreamMeter(keep_final=False, keep_continuous=False)
    event = b'data: {"error":{"message":"boom"}}\n\n'
    assert meter.feed(event) == event
    assert meter.complete
    assert meter.failed


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"usage":{"completion_tokens":3,"prompt_tokens":2}}', (3, 2)),
        (b'{"usage":null}', (None, None)),
        (b'{"usage":{"completion_tokens":"3"}}', (None, None)),
        (b"[1]", (None, None)),
        (b"oops", (None, None)),
    ],
)
def test_usage_of_a_whole_answer(body: bytes, expected: tuple[int | None, int | None]) -> None:
    """Counts of an answer that does not stream come from its usage, and are None where it tells none."""
    assert answer_usage(body) == expected


@settings(max_examples=200, deadline=None)
@given(streams(), st.lists(st.integers(0, 10_000), max_size=12), st.integers(0, 10**6))
def test_the_summary_is_taken_out_for_any_chunking(
    stream: tuple[bytes, int, list[str]], at: list[int], tokens: int
) -> None:
    """A front passes on exactly the answer, and learns exactly the guard's summary."""
    whole, _, _ = stream
    sent = Summary(tokens, 9)
    relayed = SummaryFilter()
    out = b"".join(relayed.feed(piece) for piece in cut(whole + sent.as_comment(), at))
    rest, summary = relayed.finish()
    assert (out + rest, summary) == (whole, sent)


@given(streams(), st.integers(1, 30))
def test_a_summary_cut_off_is_none(stream: tuple[bytes, int, list[str]], missing: int) -> None:
    """A guard that dies while it writes the summary leaves the answer whole and the summary unknown."""
    whole, _, _ = stream
    comment = Summary(12, None).as_comment()
    relayed = SummaryFilter()
    out = relayed.feed(whole + comment[: -min(missing, len(comment) - 40)])
    rest, summary = relayed.finish()
    assert summary in (None, Summary(12, None))
    assert (out + rest).startswith(whole)
