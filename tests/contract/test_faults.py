"""What one broken part does to the others: nothing, beyond the requests that it held."""

import asyncio
from typing import Any

import httpx
import openai

LENGTH = "x-emulated-output-tokens"
MODEL = "test/model"
MESSAGES: Any = [{"role": "user", "content": "x" * 400}]
TOKENS = 400  # 2 s at 5 ms a token
STREAMS = 24


async def stream_to_end(client: openai.AsyncOpenAI, tokens: int = TOKENS) -> str:
    """Stream an answer; give `whole`, `error event` or `cut`."""
    words = 0
    try:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,
            stream=True,
            extra_headers={"x-emulated-output-tokens": str(tokens)},
        )
        async for chunk in stream:
            words += len((chunk.choices[0].delta.content or "").split())
    except (openai.APIConnectionError, httpx.HTTPError):  # the client lets the latter through mid-stream
        return "cut"
    except openai.APIError as error:
        return "error event" if error.message else "an error that says nothing"
    return "whole" if words == tokens else f"{words} of {tokens} words"


def client_of(pod: Any) -> openai.AsyncOpenAI:
    """Give a client of one front that never retries."""
    return openai.AsyncOpenAI(base_url=f"http://{pod.front}/v1", api_key="none", max_retries=0)


def holds_nothing(pod: Any) -> bool:
    """Tell whether a sidecar has no request at all."""
    seen = pod.sidecar_samples()
    return not any(
        seen[f"presage_router_{name}"] for name in ("inflight_requests", "relays", "waiting_requests")
    )


async def start_streams(pods: Any, until: Any) -> tuple[list[asyncio.Task[str]], list[openai.AsyncOpenAI]]:
    """Start streams through both fronts; both engines run some of them when this returns."""
    clients = [client_of(pod) for pod in pods]
    tasks = [asyncio.create_task(stream_to_end(clients[index % 2])) for index in range(STREAMS)]

    def all_run() -> bool:
        running = [pod.engine_samples()["vllm:num_requests_running"] for pod in pods]
        return sum(running) == STREAMS and min(running) > 0

    await until(all_run)
    return tasks, clients


async def test_engine_killed_mid_stream(own_pods: Any, until: Any) -> None:
    """Streams of a killed engine end with an error event, all others are whole, and service goes on."""
    tasks, clients = await start_streams(own_pods, until)
    broken, healthy = own_pods
    hit = broken.engine_samples()["vllm:num_requests_running"]
    broken.kill("engine")
    ends = await asyncio.gather(*tasks)
    assert sorted(set(ends)) == ["error event", "whole"], ends
    assert ends.count("error event") == hit
    await until(lambda: not broken.ready)
    assert healthy.ready
    assert await asyncio.gather(*(stream_to_end(client, 5) for client in clients * 4)) == ["whole"] * 8
    for pod in own_pods:
        seen = pod.sidecar_samples()
        assert [
            seen[f"presage_router_{name}"] for name in ("inflight_requests", "relays", "waiting_requests")
        ] == [0] * 3
    errors = sum(pod.sidecar_samples()['presage_router_requests_total{outcome="error"}'] for pod in own_pods)
    assert errors == hit
    for client in clients:
        await client.close()


async def test_sidecar_killed(own_pods: Any, until: Any) -> None:
    """A killed sidecar takes its own relays and guarded streams; the other pod serves on."""
    tasks, clients = await start_streams(own_pods, until)
    broken, healthy = own_pods
    broken.kill("sidecar")
    ends = await asyncio.gather(*tasks)
    through_healthy = ends[1::2]
    assert set(through_healthy) <= {"whole", "error event"}, ends
    assert "whole" in through_healthy
    assert set(ends[0::2]) == {"cut"}, ends
    assert await asyncio.gather(*(stream_to_end(clients[1], 5) for _ in range(8))) == ["whole"] * 8
    await until(lambda: broken.engine_samples()["vllm:num_requests_running"] == 0)
    seen = healthy.sidecar_samples()
    assert [
        seen[f"presage_router_{name}"] for name in ("inflight_requests", "relays", "waiting_requests")
    ] == [0] * 3
    for client in clients:
        await client.close()
