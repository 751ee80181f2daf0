"""Continuous batching: nothing is lost, nothing overflows, whatever is added or aborted when."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.engine import Batch, EngineProfile, EngineRequest, IterationCoefficients

SMALL = EngineProfile(
    "small", IterationCoefficients(0.01, 1e-4, 1e-5, 1e-6, 1e-8), 1024, 16, max_sequences=8, token_budget=32
)


@dataclass
class Run:
    """Drives a batch in virtual time and checks each iteration."""

    batch: Batch
    now: float = 0.0
    generated: dict[str, int] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    admitted: list[str] = field(default_factory=list)

    def step(self) -> bool:
        """Run one iteration; False when there is nothing to do."""
        iteration = self.batch.begin(self.now)
        if iteration is None:
            return False
        profile = self.batch.profile
        assert iteration.seconds > 0
        assert 0 < iteration.shape.tokens <= profile.token_budget
        assert self.batch.running <= profile.max_sequences
        assert self.batch.kv_tokens_used <= profile.kv_blocks * profile.block_tokens
        for share in iteration.scheduled:
            if share.sequence.request.request_id not in self.admitted:
                self.admitted.append(share.sequence.request.request_id)
        self.now += iteration.seconds
        result = self.batch.complete(iteration)
        for request_id, count in result.tokens:
            assert count == self.generated.get(request_id, 0) + 1
            self.generated[request_id] = count
        assert set(result.first_tokens) == {r for r, n in result.tokens if n == 1}
        self.finished += result.finished
        return True


shapes = st.tuples(st.integers(1, 600), st.integers(1, 300), st.integers(0, 2), st.integers(0, 40))


@settings(max_examples=80, deadline=None)
@given(st.lists(shapes, min_size=1, max_size=25), st.lists(st.integers(0, 24), max_size=8))
def test_requests_and_kv_are_conserved(load: list[tuple[int, int, int, int]], aborts: list[int]) -> None:
    """Every request that is not aborted yields exactly its tokens and ends once; all KV comes back."""
    run, aborted = Run(Batch(SMALL)), set()
    for step in range(41):
        for number, (prompt, output, priority, at) in enumerate(load):
            if at == step:
                run.batch.add(EngineRequest(str(number), run.now, prompt, output, priority))
        run.step()
        if step % 5 == 4 and aborts:
            request_id = str(aborts.pop())
            if run.batch.abort(request_id):
                aborted.add(request_id)
                assert request_id not in run.batch
    while run.step():
        pass
    expected = {str(number) for number in range(len(load))} - aborted
    assert sorted(run.finished) == sorted(expected)
    assert all(run.generated[r] == load[int(r)][1] for r in expected)
    assert run.batch.kv_tokens_used == 0
    assert run.batch.running == run.batch.waiting == 0


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(1, 20)), min_size=2, max_size=8))
def test_who_arrives_first_is_admitted_first(load: list[tuple[int, int]]) -> None:
    """Within a priority, admission follows arrival whatever the order of adding."""
    run = Run(Batch(SMALL))
    for number in reversed(range(len(load))):
        run.batch.add(EngineRequest(str(number), float(number), *load[number]))
    while run.step():
        pass
    assert run.admitted == [str(number) for number in range(len(load))]


def test_priority_goes_first_and_is_preempted_last() -> None:
    """A lower priority number overtakes the queue, and when KV runs out the others go back."""
    run = Run(Batch(SMALL))
    for number in range(4):
        run.batch.add(EngineRequest(f"bulk{number}", 0.0, 200, 200, priority=1))
    run.batch.add(EngineRequest("urgent", 1.0, 200, 400, priority=0))
    while run.step():
        pass
    assert run.admitted[0] == "urgent"
    assert run.batch.preemptions > 0
    assert run.finished.index("urgent") == 0 or run.generated["urgent"] == 400


def test_preemption_recomputes_without_repeating_tokens() -> None:
    """A preempted request computes everything again, and no token comes out twice."""
    run = Run(Batch(SMALL))
    run.batch.add(EngineRequest("a", 0.0, 400, 300))
    run.batch.add(EngineRequest("b", 0.1, 400, 300))
    computed = 0
    while (iteration := run.batch.begin(run.now)) is not None:
        computed += sum(s.tokens for s in iteration.scheduled)
        run.now += iteration.seconds
        run.finished += run.batch.complete(iteration).finished
    assert run.finished == ["a", "b"]
    assert run.batch.preemptions >= 1
    assert computed > 2 * (400 + 299)


def test_prefills_are_chunked_beside_decoding() -> None:
    """A long prompt is computed in chunks of what decoding leaves of the token budget."""
    run = Run(Batch(SMALL))
    run.batch.add(EngineRequest("short", 0.0, 1, 50))
    run.step()
    run.batch.add(EngineRequest("long", 0.0, 100, 1))
    chunks = []
    while "long" in run.batch:
        iteration = run.batch.begin(run.now)
        assert iteration is not None
        chunks.append([s.tokens for s in iteration.scheduled])
        run.batch.complete(iteration)
    assert chunks == [[1, 31], [1, 31], [1, 31], [1, 7]]


def test_cached_prefix_takes_kv_but_no_time() -> None:
    """A prefix hit is not computed again, yet its KV is held; one token at least is computed."""
    batch = Batch(SMALL)
    batch.add(EngineRequest("hit", 0.0, 320, 2, cached_tokens=320))
    iteration = batch.begin(0.0)
    assert iteration is not None
    assert iteration.shape.tokens == 1
    assert batch.kv_tokens_used == 320


def test_abort_in_flight_frees_kv_at_once() -> None:
    """What is aborted while its iteration runs yields no token, and its KV is free before that ends."""
    batch = Batch(SMALL)
    batch.add(EngineRequest("a", 0.0, 10, 5))
    iteration = batch.begin(0.0)
    assert iteration is not None
    assert batch.abort("a")
    assert batch.kv_tokens_used == 0
    assert batch.complete(iteration).tokens == []
    assert not batch.abort("a")


def test_impossible_requests_are_refused() -> None:
    """A request that could never fit, or whose id is taken, is refused with the figures."""
    batch = Batch(SMALL)
    with pytest.raises(ValueError, match="needs 1025 tokens of KV cache and the engine has 1024"):
        batch.add(EngineRequest("big", 0.0, 1000, 25))
    batch.add(EngineRequest("a", 0.0, 1000, 24))
    with pytest.raises(ValueError, match="already in the engine"):
        batch.add(EngineRequest("a", 0.0, 1, 1))
    with pytest.raises(ValueError, match="at least 1"):
        EngineRequest("x", 0.0, 0, 1)


def test_one_iteration_at_a_time() -> None:
    """Beginning twice, or completing nothing, is a programming error and says so."""
    batch = Batch(SMALL)
    assert batch.begin(0.0) is None
    batch.add(EngineRequest("a", 0.0, 1, 1))
    iteration = batch.begin(0.0)
    assert iteration is not None
    with pytest.raises(RuntimeError, match="in flight"):
        batch.begin(0.0)
    batch.complete(iteration)
    with pytest.raises(RuntimeError, match="no iteration"):
        batch.complete(iteration)
