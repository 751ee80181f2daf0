"""The official client at the fronts of two pods: it must not notice that there is more than one engine."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

MODEL = "test/model"
MESSAGES: Any = [{"role": "user", "content": "x" * 400}]
STREAMS = 256
TOKENS = 60
LONG = 2000  # cut long before its end, however slow the machine


@pytest.fixture
async def clients(shared_pods: Any) -> AsyncIterator[list[openai.AsyncOpenAI]]:
    """Give a client per front; they never retry by themselves."""
    made = [
        openai.AsyncOpenAI(base_url=f"http://{pod.front}/v1", api_key="none", max_retries=0)
        for pod in shared_pods
    ]
    yield made
    for client in made:
        await client.close()


def told(tokens: int) -> dict[str, str]:
    """Give the header that tells the engine how long its answer is."""
    return {"x-emulated-output-tokens": str(tokens)}


async def test_chat(clients: Any) -> None:
    """Every front completes a chat with the engine's own text and usage."""
    for client in clients:
        answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=told(9))
        assert len(answer.choices[0].message.content.split()) == 9
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 9)


async def test_completion(clients: Any) -> None:
    """Every front completes a prompt of token ids and cuts it where the client said."""
    for client in clients:
        answer = await client.completions.create(
            model=MODEL, prompt=[1, 2, 3], max_tokens=5, extra_headers=told(9)
        )
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 5)
        assert answer.choices[0].finish_reason == "length"


async def test_chat_stream_without_usage(clients: Any) -> None:
    """A stream has every token once and no usage, although the sidecar asked the engine for it."""
    for client in clients:
        stream = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, extra_headers=told(30)
        )
        chunks = [chunk async for chunk in stream]
        assert len("".join(chunk.choices[0].delta.content or "" for chunk in chunks).split()) == 30
        assert all(chunk.usage is None for chunk in chunks)
        assert chunks[-1].choices[0].finish_reason == "stop"


async def test_chat_stream_with_usage(clients: Any) -> None:
    """A client that asks for usage gets it once, at the end."""
    for client in clients:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=told(30),
        )
        chunks = [chunk async for chunk in stream]
        assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [30]
        assert chunks[-1].choices == []


async def test_models_and_engine_errors(clients: Any) -> None:
    """Models are the engine's, and its refusals reach the client as it made them."""
    for client in clients:
        assert [model.id for model in (await client.models.list()).data] == [MODEL]
        with pytest.raises(openai.BadRequestError, match="n is 3"):
            await client.chat.completions.create(model=MODEL, messages=MESSAGES, n=3)


def router(pods: Any, name: str) -> float:
    """Sum a sidecar metric over the pods."""
    return sum(pod.sidecar_samples()[f"presage_router_{name}"] for pod in pods)


def outcomes(pods: Any) -> dict[str, float]:
    """Give ended requests by outcome, over all fronts."""
    names = ("ok", "error", "rejected", "cancelled")
    return {name: router(pods, f'requests_total{{outcome="{name}"}}') for name in names}


def engine(pods: Any, name: str) -> float:
    """Sum an engine metric over the pods."""
    return sum(pod.engine_samples()[f"vllm:{name}"] for pod in pods)


def at_rest(pods: Any) -> bool:
    """Tell whether no engine and no sidecar holds anything of any request."""
    gauges = ("inflight_requests", "waiting_requests", "relays")
    engines = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
    return not any([router(pods, name) for name in gauges] + [engine(pods, name) for name in engines])


async def test_half_of_256_streams_cut(shared_pods: Any, clients: Any, until: Any) -> None:
    """Of 256 concurrent streams every second is cut: nothing is left running, every counter adds up."""
    before = outcomes(shared_pods)
    aborted = engine(shared_pods, 'request_success_total{finished_reason="abort"}')

    async def one(index: int) -> int:
        cut = index % 4 < 2  # at both fronts some clients stay and some go
        stream = await clients[index % 2].chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, extra_headers=told(LONG if cut else TOKENS)
        )
        words = 0
        async for chunk in stream:
            words += len((chunk.choices[0].delta.content or "").split())
            if cut and words >= 3:
                await stream.close()
                break
        return words

    words = await asyncio.gather(*(one(index) for index in range(STREAMS)))
    assert [n for index, n in enumerate(words) if index % 4 >= 2] == [TOKENS] * (STREAMS // 2)
    await until(lambda: at_rest(shared_pods))
    after = outcomes(shared_pods)
    ended = {name: after[name] - before[name] for name in after}
    assert ended == {"ok": STREAMS / 2, "cancelled": STREAMS / 2, "error": 0, "rejected": 0}
    assert engine(shared_pods, 'request_success_total{finished_reason="abort"}') - aborted == STREAMS / 2
    assert router(shared_pods, "output_tokens_total") <= engine(shared_pods, "generation_tokens_total")
    assert router(shared_pods, "queue_seconds_count") >= STREAMS / 2
