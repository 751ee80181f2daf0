"""The engine is as slow as its model, and its metrics say so under vLLM's names."""

import asyncio
import time
from statistics import median
from typing import Any

from presage_policies.engine import Batch, EngineProfile, EngineRequest, IterationCoefficients

LATE = 0.05  # s: what one process of a shared machine may be late by, in the median
TOLERANCE = 0.002  # s: clocks; an answer may never be earlier than the model says


def virtual(profile: EngineProfile, arrivals: dict[int, tuple[float, int]]) -> dict[int, tuple[float, float]]:
    """Step the same batch in virtual time.

    `arrivals`: prompt tokens (distinct) -> (arrival, output tokens); gives prompt tokens -> times of the
    first and the last token. All times in seconds on the engine's clock.
    """
    batch, first, last = Batch(profile), {}, {}
    coming = sorted((at, prompt, output) for prompt, (at, output) in arrivals.items())
    now = 0.0
    while coming or batch.running or batch.waiting:
        if not batch.running and not batch.waiting:
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            at, prompt, output = coming.pop(0)
            batch.add(EngineRequest(str(prompt), at, prompt, output))
        iteration = batch.begin(now)
        assert iteration is not None
        now += iteration.seconds
        result = batch.complete(iteration)
        first |= {int(prompt): now for prompt in result.first_tokens}
        last |= {int(prompt): now for prompt in result.finished}
    return {prompt: (first[prompt], last[prompt]) for prompt in arrivals}


async def measured(engine: Any, requests: list[tuple[int, int]]) -> list[tuple[float, float]]:
    """Send (prompt, output) at once; give when clients saw the first and last token (engine seconds)."""

    async def one(prompt: int, output: int) -> tuple[float, float]:
        body = {"prompt": [1] * prompt, "max_tokens": output, "stream": True}
        async with engine.post(body, output=output) as response:
            await response.content.readuntil(b"\n\n")
            first = engine.server.loop.now
            await response.read()
            return first, engine.server.loop.now

    return await asyncio.gather(*(one(*request) for request in requests))


def record_arrivals(engine: Any, monkeypatch: Any) -> dict[int, tuple[float, int]]:
    """Note when each request enters the engine: prompt tokens -> (arrival, output tokens)."""
    arrivals: dict[int, tuple[float, int]] = {}
    submit = engine.server.loop.submit

    def noting(prompt_tokens: int, output_tokens: int, *rest: Any) -> Any:
        answer = submit(prompt_tokens, output_tokens, *rest)
        arrivals[prompt_tokens] = (answer.arrival, output_tokens)
        return answer

    monkeypatch.setattr(engine.server.loop, "submit", noting)
    return arrivals


async def test_latencies_follow_the_model(engines: Any, monkeypatch: Any) -> None:
    """Under 40 requests at once clients see their tokens when the model says.

    Stated tolerance: at most 50 ms late in the median, over a second of iterations: errors of single
    timers must not add up.
    """
    coefficients = IterationCoefficients(0.008, 2e-5, 1e-5, 1e-7, 1e-9)
    profile = EngineProfile("load", coefficients, kv_capacity_tokens=40_000, token_budget=1024)
    requests = [(50 + 13 * i % 400, 20 + 17 * i % 90) for i in range(40)]
    engine = await engines(profile, stream_interval=4)
    arrivals = record_arrivals(engine, monkeypatch)
    seen = await measured(engine, requests)
    assert await engine.metric("presage_engine_clock_slip_seconds_total") == 0
    model = virtual(profile, arrivals)
    late = [
        at - expected
        for (prompt, _), times in zip(requests, seen, strict=True)
        for at, expected in zip(times, model[prompt], strict=True)
    ]
    assert median(late) < LATE
    assert min(late) > -LATE  # a loop that was late for a moment catches up with its clock


async def test_alone_never_early(engines: Any, make_profile: Any, monkeypatch: Any) -> None:
    """A request alone takes its prefill and a step per further token, not less, and little more."""
    profile = make_profile(step_seconds=0.004)
    engine = await engines(profile)
    arrivals = record_arrivals(engine, monkeypatch)
    ((first, last),) = await measured(engine, [(1000, 100)])  # two prefill chunks of 512
    arrival = arrivals[1000][0]
    assert 0.008 - TOLERANCE <= first - arrival <= 0.008 + LATE
    assert 0.404 - TOLERANCE <= last - arrival <= 0.404 + LATE


async def test_time_scale(engines: Any, make_profile: Any) -> None:
    """At scale 10 an answer comes ten times as fast and the histograms still hold engine seconds."""
    engine = await engines(make_profile(step_seconds=0.02), time_scale=10.0)
    began = time.monotonic()
    await measured(engine, [(16, 100)])
    assert 0.2 - TOLERANCE <= time.monotonic() - began <= 0.2 + 2 * LATE
    assert 1.99 < await engine.metric("vllm:e2e_request_latency_seconds_sum") < 2.3


async def test_metrics(engines: Any, make_profile: Any) -> None:
    """Every name that scrapers of vLLM read is there with its labels, and counts what ran."""
    engine = await engines(make_profile(step_seconds=0.004))
    await measured(engine, [(100, 10), (101, 1)])
    model = {"model_name": "test/model"}
    for name in (
        "num_requests_running",
        "num_requests_waiting",
        "kv_cache_usage_perc",
        "num_preemptions_total",
    ):
        assert await engine.metric(f"vllm:{name}", **model) == 0
    assert await engine.metric("vllm:prompt_tokens_total", **model) == 201
    assert await engine.metric("vllm:generation_tokens_total", **model) == 11
    assert await engine.metric("vllm:request_success_total", finished_reason="stop", **model) == 2
    assert await engine.metric("vllm:request_success_total", finished_reason="length", **model) == 0
    assert await engine.metric("vllm:cache_config_info", block_size="16", num_gpu_blocks="256") == 1
    assert await engine.metric("vllm:time_to_first_token_seconds_count", **model) == 2
    assert await engine.metric("vllm:inter_token_latency_seconds_count", **model) == 9
    assert abs(await engine.metric("vllm:inter_token_latency_seconds_sum", **model) - 9 * 0.004) < 1e-9
    assert await engine.metric("vllm:e2e_request_latency_seconds_count", **model) == 2
    buckets = [
        await engine.metric("vllm:e2e_request_latency_seconds_bucket", le=le) for le in ("0.3", "+Inf")
    ]
    assert buckets == [2, 2]


async def test_a_stalled_process_says_so(engines: Any, make_profile: Any) -> None:
    """A process that was stopped for 0.7 s drops the debt and counts it, instead of racing."""
    engine = await engines(make_profile(step_seconds=0.01))
    call = asyncio.create_task(measured(engine, [(16, 70)]))
    await asyncio.sleep(0.2)
    time.sleep(0.7)  # noqa: ASYNC251 - the stall is what is tested
    ((_, last),) = await call
    assert last >= 1.3
    assert 0.6 < await engine.metric("presage_engine_clock_slip_seconds_total") < 2
