"""The load generator over real sockets: what it sends, how it judges answers, that it waits for nobody."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from presage_cli.demo.plan import Plan
from presage_cli.demo.records import Outcome, Progress, RequestRecord, parse_line
from presage_cli.demo.replay import LENGTH_HEADER, Replay, prompt_text
from presage_cli.demo.schedule import Arrival
from presage_cli.demo.stream import AnswerStream

Answer = Callable[[web.Request, "Service"], Awaitable[web.StreamResponse]]


def event(document: object) -> bytes:
    """Make one server-sent event."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def text(content: str) -> bytes:
    """Make a chunk of text as vLLM sends it."""
    return event({"choices": [{"index": 0, "delta": {"content": content}}], "usage": None})


@dataclass
class Service:
    """A small streaming service that keeps what it was asked."""

    answer: Answer
    seen: list[tuple[float, dict[str, str], dict[str, object]]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request and answer it."""
        self.seen.append((time.monotonic(), dict(request.headers), await request.json()))
        return await self.answer(request, self)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[str, Service]]:
    """Serve on a free port of this machine; gives the base URL and the service."""
    service = Service(answer)
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/v1/chat/completions", service.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's own server
    try:
        yield f"http://127.0.0.1:{port}", service
    finally:
        await runner.cleanup()


async def stream_of(request: web.Request, *pieces: bytes, pause: float = 0.0) -> web.StreamResponse:
    """Stream pieces with a pause before each but the first."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for index, piece in enumerate(pieces):
        if index:
            await asyncio.sleep(pause)
        await response.write(piece)
    return response


async def good(request: web.Request, _: Service) -> web.StreamResponse:
    """Answer nine tokens in two chunks, then usage and the end."""
    usage = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}})
    return await stream_of(
        request, text("a"), text(" b c d e f g h i"), usage, b"data: [DONE]\n\n", pause=0.08
    )


async def replayed(plan: Plan, arrivals: list[Arrival], **urls: str) -> list[RequestRecord | Progress]:
    """Replay arrivals, the part that counts beginning in 50 ms, and read what the generator said."""
    lines: list[str] = []
    await Replay(plan, arrivals, urls, time.time() + 0.05, lines.append).run()
    parsed = [parse_line(line) for line in lines]
    return [entry for entry in parsed if entry is not None]


def records(entries: list[RequestRecord | Progress]) -> list[RequestRecord]:
    """Keep the request records."""
    return [entry for entry in entries if isinstance(entry, RequestRecord)]


async def test_both_services_get_the_same_requests_at_the_same_instants(plan: Plan) -> None:
    """Bodies and headers are equal, request by request, and leave within 20 ms of each other."""
    arrivals = [Arrival(0.02 * index, 5 + index, 9) for index in range(20)]
    async with serving(good) as (one, first), serving(good) as (two, second):
        await replayed(plan, arrivals, predictive=one, reactive=two)
    assert len(first.seen) == len(second.seen) == 20
    left = sorted(first.seen, key=lambda seen: str(seen[2]["messages"]))
    right = sorted(second.seen, key=lambda seen: str(seen[2]["messages"]))
    for (at, headers, body), (other_at, other_headers, other_body) in zip(left, right, strict=True):
        assert body == other_body
        assert {**headers, "Host": ""} == {**other_headers, "Host": ""}
        assert abs(at - other_at) < 0.02


async def test_a_request_is_what_the_trace_says(plan: Plan) -> None:
    """Prompt size, model, limit and the engine's secret are set; nothing else tells the length."""
    async with serving(good) as (url, service):
        await replayed(plan, [Arrival(0.0, 321, 77)], predictive=url)
    _, headers, body = service.seen[0]
    assert len(body["messages"][0]["content"]) == 4 * 321  # type: ignore[index]  # parsed JSON
    assert headers[LENGTH_HEADER] == "77"
    assert "77" not in json.dumps(body)
    assert body["max_tokens"] == plan.max_tokens
    assert body["stream"] is True


async def test_latencies_are_the_clients(plan: Plan) -> None:
    """TTFT is to the first text, TPOT spreads the later tokens, E2E goes to the end of the stream."""
    async with serving(good) as (url, _):
        (record,) = records(await replayed(plan, [Arrival(0.0, 5, 9)], predictive=url))
    assert record.outcome is Outcome.COMPLETED
    assert record.output_tokens == 9
    assert record.ttft_ms is not None
    assert record.ttft_ms < 60
    assert record.tpot_ms == pytest.approx(80 / 8, rel=0.5)
    assert record.e2e_ms == pytest.approx(record.ttft_ms + 240, abs=60)


async def test_it_is_open_loop(plan: Plan) -> None:
    """Requests leave on schedule while none has been answered yet, and lateness is reported."""
    release = asyncio.Event()

    async def slow(request: web.Request, _: Service) -> web.StreamResponse:
        await release.wait()
        return await stream_of(request, text("a"), b"data: [DONE]\n\n")

    async with serving(slow) as (url, service):
        running = asyncio.create_task(
            replayed(plan, [Arrival(0.02 * index, 5, 9) for index in range(30)], predictive=url)
        )
        await asyncio.sleep(0.05 + 0.6 + 0.2)
        assert len(service.seen) == 30
        release.set()
        entries = await running
    seconds = [at - service.seen[0][0] for at, _, _ in service.seen]
    assert seconds[-1] == pytest.approx(0.58, abs=0.05)
    end = entries[-1]
    assert isinstance(end, Progress)
    assert end.finished
    assert 0 <= end.late_p99_ms <= end.late_max_ms < 50


async def test_refusals_error_events_and_broken_streams_are_told_apart(plan: Plan) -> None:
    """429 and an error event are failed with their reason; a stream that just ends is lost."""

    async def refuse(_: web.Request, __: Service) -> web.StreamResponse:
        return web.json_response({"error": {}}, status=429, headers={"x-presage-reason": "queue-full"})

    async def fail(request: web.Request, _: Service) -> web.StreamResponse:
        return await stream_of(request, text("a"), event({"error": {"message": "engine died"}}))

    async def vanish(request: web.Request, _: Service) -> web.StreamResponse:
        return await stream_of(request, text("a"), text("b"))

    async def abort(request: web.Request, _: Service) -> web.StreamResponse:
        response = await stream_of(request, text("a"))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with (
        serving(refuse) as (a, _),
        serving(fail) as (b, _),
        serving(vanish) as (c, _),
        serving(abort) as (
            d,
            _,
        ),
    ):
        entries = await replayed(
            plan, [Arrival(0.0, 5, 9)], refuse=a, fail=b, vanish=c, abort=d, nobody="http://127.0.0.1:9"
        )
    by_name = {record.service: record for record in records(entries)}
    assert {name: record.outcome for name, record in by_name.items()} == {
        "refuse": Outcome.FAILED,
        "fail": Outcome.FAILED,
        "vanish": Outcome.LOST,
        "abort": Outcome.LOST,
        "nobody": Outcome.FAILED,
    }
    assert by_name["refuse"].status == 429
    assert by_name["refuse"].reason == "queue-full"
    assert by_name["fail"].reason == "engine died"
    assert by_name["nobody"].status == 0
    assert all(record.e2e_ms is None for record in by_name.values())


async def test_an_answer_that_never_ends_is_lost(plan: Plan) -> None:
    """What is still open at the drain limit counts as lost, not as nothing."""

    async def hang(request: web.Request, _: Service) -> web.StreamResponse:
        return await stream_of(request, text("a"), text("b"), pause=30)

    impatient = plan.model_copy(update={"drain_limit_seconds": 0.3})
    async with serving(hang) as (url, _):
        (record,) = records(await replayed(impatient, [Arrival(0.0, 5, 9)], predictive=url))
    assert record.outcome is Outcome.LOST
    assert record.status == 200
    assert "not answered" in record.reason


async def test_requests_before_the_generator_ran_are_left_out(plan: Plan) -> None:
    """Warm-up whose instant has passed is skipped, rather than sent in one burst."""
    async with serving(good) as (url, service):
        await replayed(plan, [Arrival(-9.0, 5, 9), Arrival(-8.0, 5, 9), Arrival(0.1, 5, 9)], predictive=url)
    assert len(service.seen) == 1


@given(st.lists(st.integers(min_value=1, max_value=40), max_size=12))
def test_any_cut_of_the_stream_reads_the_same(cuts: list[int]) -> None:
    """However the bytes are cut into pieces, text, usage and end are the same."""
    whole = (
        text("a")
        + text("b")
        + event({"choices": [], "usage": {"completion_tokens": 9}})
        + b"data: [DONE]\n\n"
    )
    stream, rest = AnswerStream(), whole
    for cut in cuts:
        piece, rest = rest[:cut], rest[cut:]
        stream.feed(piece, 1.0)
    stream.feed(rest, 2.0)
    assert (stream.chunks, stream.output_tokens, stream.done, stream.error) == (2, 9, True, None)


def test_a_record_survives_the_log() -> None:
    """What is read back from a log line is the record that was written; other lines are passed over."""
    record = RequestRecord("a", 3, 1.5, Outcome.COMPLETED, 200, "", 0.1, 12.0, None, 30.0, 5, 1)
    assert parse_line(record.as_line()) == record
    assert parse_line("WARNING something else") is None
    assert parse_line("[1, 2]") is None


def test_prompts_differ_from_their_start() -> None:
    """Two prompts share no leading block, so that no cache helps either service."""
    assert prompt_text(1, 400)[:8] != prompt_text(2, 400)[:8]
    assert len(prompt_text(12, 1)) == 4
