"""The loop over the batch: whatever comes and goes, nothing is lost and nothing is left."""

import asyncio
import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.engine import EngineProfile, IterationCoefficients
from presage_sandbox.engine.loop import EngineLoop

FAST = 2000.0  # engine seconds per real second: an iteration of 10 ms takes 5 µs
PROFILE = EngineProfile(
    "small",
    IterationCoefficients(0.01, 0.0, 0.0, 0.0, 0.0),
    kv_capacity_tokens=512,
    max_sequences=4,
    token_budget=64,
)
# (prompt tokens, output tokens, priority, tokens after which the client leaves or None)
REQUESTS = st.lists(
    st.tuples(st.integers(1, 200), st.integers(1, 200), st.integers(-1, 1), st.none() | st.integers(0, 150)),
    min_size=1,
    max_size=12,
)


async def drive(requests: list[tuple[int, int, int, int | None]]) -> tuple[EngineLoop, list[int]]:
    """Run requests to their end or until their clients leave; give the loop and the tokens each got."""
    loop = EngineLoop(PROFILE, FAST)
    steps = asyncio.create_task(loop.run())

    async def one(prompt: int, output: int, priority: int, leaves_after: int | None) -> int:
        answer = loop.submit(prompt, output, "stop", priority)
        got = await (answer.end() if leaves_after is None else answer.reach(leaves_after))
        loop.abort(answer)
        return got

    async with asyncio.timeout(20):
        got = await asyncio.gather(*(one(*request) for request in requests))
    assert not steps.done()
    steps.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await steps
    return loop, got


@settings(max_examples=40, deadline=None)
@given(REQUESTS)
def test_conservation(requests: Any) -> None:
    """Every request ends once as stopped or aborted, gets its tokens if it stays, and frees its KV."""
    loop, got = asyncio.run(drive(requests))
    for (_, output, _, leaves_after), tokens in zip(requests, got, strict=True):
        assert tokens == output if leaves_after is None else tokens <= output
        assert leaves_after is None or tokens >= min(leaves_after, output)
    finished = loop.metrics.finished
    assert finished["stop"] + finished["abort"] == len(requests)
    assert finished["stop"] >= sum(leaves_after is None for *_, leaves_after in requests)
    assert loop.metrics.generation_tokens >= sum(got)
    assert loop.metrics.e2e_request_latency.count == finished["stop"]
    first_tokens = loop.metrics.time_to_first_token.count
    assert loop.metrics.inter_token_latency.count == loop.metrics.generation_tokens - first_tokens
    assert (loop.open_answers, loop.batch.running, loop.batch.waiting, loop.batch.kv_tokens_used) == (
        0,
        0,
        0,
        0,
    )
