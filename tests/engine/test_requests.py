"""What the engine takes, refuses and ignores."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_sandbox.engine.errors import ApiError
from presage_sandbox.engine.lengths import true_length
from presage_sandbox.engine.parameters import read_parameters
from presage_sandbox.engine.text import count_messages, count_prompt, words

CHAT = {"messages": [{"role": "user", "content": "hello"}]}


def read(body: Any, *, chat: Any = True, context: Any = 1000) -> Any:
    """Read a body for an engine that serves `m`."""
    return read_parameters(body, chat=chat, model="m", context_tokens=context)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "no role"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"max_tokens": 2000}, "max_tokens"),
        ({"messages": [{"role": "user", "content": "x" * 5000}]}, "messages"),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": [1]}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
        ({"priority": "high"}, "priority"),
        ({"min_tokens": -1}, "min_tokens"),
    ],
)
def test_refusals_name_the_field(changes: Any, param: Any) -> None:
    """Each malformed field gives a 400 whose param and message name it."""
    with pytest.raises(ApiError) as refused:
        read(CHAT | changes)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert param.split("[")[0].split(".")[0] in refused.value.message


@pytest.mark.parametrize("prompt", [None, [], 5, ["a", "b"], [[1, 2], [3]], [1, "a"], [True]])
def test_prompt_refusals(prompt: Any) -> None:
    """A prompt that is neither one text nor one list of ids is refused."""
    with pytest.raises(ApiError) as refused:
        read({"prompt": prompt}, chat=False)
    assert refused.value.param == "prompt"


def test_unknown_fields_are_ignored() -> None:
    """Fields of other servers and newer clients change nothing."""
    assert read(CHAT | {"frequency_penalty": 0.1, "new_thing": {"a": 1}}) == read(CHAT)


def test_limits() -> None:
    """max_completion_tokens wins over max_tokens; without either a chat may fill the context."""
    assert read(CHAT | {"max_tokens": 10}).limit == 10
    assert read(CHAT | {"max_tokens": 10, "max_completion_tokens": 20}).limit == 20
    assert read(CHAT | {"max_tokens": None}).limit == 1000 - 2


def test_prompt_token_rule() -> None:
    """Four characters are a token over all text together; ids count exactly; parts and tools count."""
    assert count_messages({"messages": [{"role": "user", "content": "x" * 4 * 123}]}) == 123
    assert count_messages(CHAT) == 2
    parts = [{"role": "user", "content": [{"type": "text", "text": "abcd"}, {"type": "text", "text": "ef"}]}]
    assert count_messages({"messages": parts}) == 2
    assert count_messages({"messages": [{"role": "assistant", "content": None}]}) >= 1
    assert (
        count_messages(CHAT | {"tools": [{"type": "function"}]})
        == (5 + len('[{"type":"function"}]') + 3) // 4
    )
    assert count_prompt({"prompt": list(range(77))}) == 77
    assert count_prompt({"prompt": [[1, 2, 3]]}) == 3
    assert count_prompt({"prompt": ["x" * 8]}) == 2
    assert count_prompt({"prompt": ""}) == 1


@given(st.lists(st.integers(1, 90), min_size=1, max_size=12))
def test_words_of_any_chunking_are_the_same_text(sizes: Any) -> None:
    """However an answer is cut into chunks, they join to the same text with one word a token."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    text = "".join(words(end - size, end) for size, end in zip(sizes, ends, strict=True))
    assert text == words(0, ends[-1])
    assert len(text.split(" ")) == ends[-1]


@pytest.mark.parametrize("header", ["0", "-1", "1.5", "ten", "", "1e3", "٣", "9" * 30])
def test_bad_length_header(header: Any) -> None:
    """A length that is no whole number from 1 is refused with its value and the fix."""
    with pytest.raises(ApiError, match=r"x-emulated-output-tokens is .*whole number"):
        true_length(header, read(CHAT), seed=0)


def test_drawn_lengths() -> None:
    """A drawn length depends on the seed and the question alone, and spreads like chat answers."""
    bodies = [{"messages": [{"role": "user", "content": f"question {i}"}]} for i in range(2000)]
    drawn = [true_length(None, read(body, context=100_000), seed=1) for body in bodies]
    assert drawn == [true_length(None, read(body, context=100_000), seed=1) for body in bodies]
    assert drawn != [true_length(None, read(body, context=100_000), seed=2) for body in bodies]
    assert 105 < sorted(drawn)[1000] < 137  # the median of the lognormal is 120
    assert 170 < sum(drawn) / 2000 < 230


def test_ignore_eos_and_min_tokens() -> None:
    """ignore_eos writes to the limit; min_tokens lifts a drawn length."""
    assert true_length(None, read(CHAT | {"ignore_eos": True, "max_tokens": 99}), seed=0) == 99
    assert true_length(None, read(CHAT | {"min_tokens": 900, "max_tokens": 900}), seed=0) >= 900
    assert true_length("5", read(CHAT | {"ignore_eos": True, "max_tokens": 99}), seed=0) == 5
