"""How the engine behaves while requests run: aborts, room, order, slow readers, cold start."""

import asyncio
import json
import socket
from typing import Any

PROMPT = [1] * 16  # token ids: exactly one KV block


async def events(response: Any) -> Any:
    """Yield the JSON of each server-sent event but [DONE]."""
    async for line in response.content:
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


def stream_of(max_tokens: Any, **more: Any) -> Any:
    """Give the body of a streamed completion of 16 prompt tokens."""
    return {"prompt": PROMPT, "max_tokens": max_tokens, "stream": True, **more}


async def idle(engine: Any) -> Any:
    """Tell whether nothing runs, waits or holds KV."""
    names = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")
    return [await engine.metric(name) for name in names] == [0, 0, 0]


async def test_disconnect_frees_the_cache_at_once(engines: Any) -> None:
    """A client that goes away mid-stream leaves no sequence and no KV behind, and counts as abort."""
    engine = await engines()
    response = await engine.post(stream_of(2000), output=2000)
    await anext(events(response))
    assert await engine.metric("vllm:num_requests_running") == 1
    response.close()
    await engine.until(lambda: idle(engine), seconds=1)
    assert await engine.metric("vllm:request_success_total", finished_reason="abort") == 1
    assert await engine.metric("vllm:generation_tokens_total") < 1500


async def test_disconnect_of_waiting_and_unstreamed_requests(engines: Any, make_profile: Any) -> None:
    """Requests that have not sent a byte yet are dropped too when their clients go away."""
    engine = await engines(make_profile(max_sequences=1))
    bodies = [{"prompt": PROMPT, "max_tokens": 2000}] * 4 + [stream_of(2000)] * 4
    calls = [asyncio.create_task(engine.post(body, output=2000).__aenter__()) for body in bodies]

    async def all_inside() -> Any:
        return await engine.metric("vllm:num_requests_waiting") == 7

    await engine.until(all_inside)
    assert await engine.metric("vllm:num_requests_running") == 1
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await engine.until(lambda: idle(engine), seconds=1)
    assert await engine.metric("vllm:request_success_total", finished_reason="abort") == 8


async def test_half_of_many_streams_cut(engines: Any) -> None:
    """Of 128 streams every second is cut; the others are complete and the counters add up."""
    engine = await engines()

    async def one(index: Any) -> Any:
        async with engine.post(stream_of(40), output=40) as response:
            words = 0
            async for event in events(response):
                words += len(event["choices"][0]["text"].split())
                if index % 2 and words >= 5:
                    return None
            return words

    got = await asyncio.gather(*(one(index) for index in range(128)))
    assert got[::2] == [40] * 64
    assert got[1::2] == [None] * 64
    await engine.until(lambda: idle(engine))
    stops = await engine.metric("vllm:request_success_total", finished_reason="stop")
    aborts = await engine.metric("vllm:request_success_total", finished_reason="abort")
    assert stops + aborts == 128
    assert stops >= 64


async def test_full_cache_preempts_and_still_answers_all(engines: Any, make_profile: Any) -> None:
    """Requests that outgrow the KV cache together are preempted and complete all the same."""
    engine = await engines(make_profile(step_seconds=0.001, kv_capacity_tokens=512))
    calls = [engine.post({"prompt": PROMPT, "max_tokens": 200}, output=200) for _ in range(6)]
    replies = [await (await call).json() for call in await asyncio.gather(*map(as_task, calls))]
    assert [reply["usage"]["completion_tokens"] for reply in replies] == [200] * 6
    assert await engine.metric("vllm:num_preemptions_total") > 0
    assert await engine.metric("vllm:generation_tokens_total") == 1200
    assert await idle(engine)


async def as_task(call: Any) -> Any:
    """Begin a call now and give its response later."""
    return asyncio.ensure_future(call)


async def test_priority(engines: Any, make_profile: Any) -> None:
    """With one sequence slot, the waiting request with the lower priority value runs first."""
    engine = await engines(make_profile(max_sequences=1))
    done = []

    async def one(name: Any, priority: Any) -> None:
        async with engine.post(
            {"prompt": PROMPT, "max_tokens": 30, "priority": priority}, output=30
        ) as reply:
            await reply.read()
            done.append(name)

    first = asyncio.create_task(one("running", 0))
    await asyncio.sleep(0.02)
    late = asyncio.create_task(one("late", 5))
    await asyncio.sleep(0.01)
    await asyncio.gather(first, late, one("urgent", -5))
    assert done == ["running", "urgent", "late"]


async def test_stream_interval(engines: Any) -> None:
    """With an interval of 8 the first token comes alone, then at least 8 a chunk but the last."""
    engine = await engines(stream_interval=8)
    async with engine.post(stream_of(100), output=30) as response:
        sizes = [len(event["choices"][0]["text"].split()) async for event in events(response)]
    assert sum(sizes) == 30
    assert sizes[0] == 1
    assert all(size >= 8 for size in sizes[1:-1])
    assert len(sizes) <= 5


async def test_slow_reader_holds_up_nobody(engines: Any, make_profile: Any) -> None:
    """A client that stops reading holds up nobody, and later gets what it missed in fewer chunks."""
    engine = await engines(make_profile(step_seconds=0.0005, kv_capacity_tokens=65536))
    slow = await engine.post(stream_of(2500), output=2500)
    slow.connection.transport.pause_reading()
    (served,) = engine.runner.server.connections
    served.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    async with engine.post({"prompt": PROMPT, "max_tokens": 100}, output=100) as other:
        began = asyncio.get_running_loop().time()
        assert (await other.json())["usage"]["completion_tokens"] == 100
        assert asyncio.get_running_loop().time() - began < 1
    await engine.until(lambda: idle(engine))
    slow.connection.transport.resume_reading()
    words = [len(event["choices"][0]["text"].split()) async for event in events(slow)]
    assert sum(words) == 2500
    assert max(words) > 100  # what came while the connection was blocked


async def test_cold_start(engines: Any) -> None:
    """Until the cold start is over health says 503 and requests are refused; then both work."""
    engine = await engines(cold_start_seconds=0.3)
    async with engine.session.get(f"{engine.url}/health") as health:
        assert health.status == 503
    async with engine.post({"prompt": PROMPT}) as refused:
        assert refused.status == 503
        assert "loading" in (await refused.json())["error"]["message"]

    async def healthy() -> Any:
        async with engine.session.get(f"{engine.url}/health") as response:
            return response.status == 200

    await engine.until(healthy)
    assert engine.server.loop.now >= 0.3
    async with engine.post({"prompt": PROMPT}, output=3) as answered:
        assert answered.status == 200


async def test_bad_bodies(engines: Any) -> None:
    """What is no JSON object or has a bad length header gets a 400 in OpenAI's form."""
    engine = await engines()
    for body in (b"", b"{", b"[]", b"[" * 100_000, b'"text"', b"\xff"):
        async with engine.session.post(f"{engine.url}/v1/completions", data=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]["type"] == "BadRequestError"
    async with engine.post({"prompt": PROMPT}, output="many") as response:
        error = (await response.json())["error"]
        assert (response.status, error["param"]) == (400, "x-emulated-output-tokens")


async def test_request_id(engines: Any) -> None:
    """The client's x-request-id becomes part of the answer's id, and may repeat."""
    engine = await engines()

    async def one() -> Any:
        async with engine.session.post(
            f"{engine.url}/v1/completions", json={"prompt": PROMPT}, headers={"x-request-id": "abc"}
        ) as response:
            return (await response.json())["id"]

    assert await asyncio.gather(one(), one()) == ["cmpl-abc", "cmpl-abc"]
