"""The anticipator is PreServe's U[i]: with oracle lengths it is the engine's future KV use."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.anticipator import Anticipator
from presage_policies.engine import Batch, EngineProfile, EngineRequest, IterationCoefficients

ROOMY = EngineProfile(
    "roomy", IterationCoefficients(0.01, 1e-4, 1e-5, 1e-6, 1e-8), 65536, 16, max_sequences=64, token_budget=64
)


class Engine:
    """A batch whose guard keeps an anticipator with oracle lengths."""

    def __init__(self) -> None:
        self.batch = Batch(ROOMY)
        self.anticipator = Anticipator(ROOMY.kv_capacity_tokens)
        self.shapes: dict[str, tuple[int, int]] = {}

    def add(self, request_id: str, prompt: int, output: int) -> None:
        """Send the engine a request."""
        self.shapes[request_id] = (prompt, output)
        self.batch.add(EngineRequest(request_id, 0.0, prompt, output))

    def begin_and_measure(self, watched: set[str]) -> tuple[int, int]:
        """Run one iteration; return KV held during it by the watched requests, and how many those are."""
        iteration = self.batch.begin(0.0)
        assert iteration is not None
        held = [s.blocks for s in self.batch.sequences() if s.request.request_id in watched]
        result = self.batch.complete(iteration)
        for request_id in result.first_tokens:
            self.anticipator.start(request_id, *self.shapes[request_id])
        for request_id, generated in result.tokens:
            self.anticipator.progress(request_id, generated)
        for request_id in result.finished:
            self.anticipator.finish(request_id)
        return sum(held) * ROOMY.block_tokens, len(held)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 80), st.integers(0, 60)), min_size=1, max_size=20),
    st.integers(1, 60),
)
def test_u_is_the_simulated_kv_use(load: list[tuple[int, int, int]], snapshot: int) -> None:
    """With oracle lengths U[i] equals KV use at every look-ahead step within one block per request."""
    engine = Engine()
    for step in range(snapshot):
        for number, (prompt, output, at) in enumerate(load):
            if at == step:
                engine.add(str(number), prompt, output)
        if engine.batch.running + engine.batch.waiting:
            engine.begin_and_measure(set())
    watched = {s.request.request_id for s in engine.batch.sequences() if s.generated > 0}
    projected = engine.anticipator.projected().copy() * ROOMY.kv_capacity_tokens
    step = 1
    while engine.batch.running + engine.batch.waiting:
        held, requests = engine.begin_and_measure(watched)
        assert held - requests * ROOMY.block_tokens <= projected[step] <= held
        step += 1
    assert projected[step:].max() == 0
    assert len(engine.anticipator) == 0


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 300)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(1, 400)), max_size=30),
)
def test_u_is_the_sum_of_its_ramps(load: list[tuple[int, int]], moves: list[tuple[int, int]]) -> None:
    """After any progress U is the sum over requests of (P + i)/M from where each is to its extended end."""
    anticipator = Anticipator(10_000, slots=700)
    expected: dict[int, tuple[int, int, int]] = {}
    for number, (prompt, length) in enumerate(load):
        anticipator.start(str(number), prompt, length)
        expected[number] = (prompt, length, 0)
    for number, generated in moves:
        anticipator.progress(str(number), generated)
        if number in expected:
            prompt, length, _ = expected[number]
            while length < generated:
                length += max(1, int(np.ceil(0.2 * load[number][1])))
            expected[number] = (prompt, length, generated - 1)
    u = np.zeros(700)
    for prompt, length, offset in expected.values():
        for i in range(min(700, length - offset)):
            u[i] += (prompt + offset + i) / 10_000
    assert anticipator.projected() == pytest.approx(u)


def test_finishing_early_takes_the_rest_back() -> None:
    """A request that ends before its prediction leaves nothing behind, and another is untouched."""
    anticipator = Anticipator(1000)
    anticipator.start("stays", 100, 50)
    alone = anticipator.projected().copy()
    anticipator.start("leaves", 200, 300)
    anticipator.progress("leaves", 10)
    anticipator.finish("leaves")
    anticipator.finish("leaves")
    assert (anticipator.projected() == alone).all()


def test_outliving_extends_by_a_fifth_again_and_again() -> None:
    """At its predicted length a request still counts now; beyond it, for another 0.2·D, repeatedly."""
    anticipator = Anticipator(1000)
    anticipator.start("a", 100, 50)
    remaining = []
    for generated in (50, 51, 60, 61, 71):
        anticipator.progress("a", generated)
        remaining.append(int((anticipator.projected() > 0).sum()))
    assert remaining == [1, 10, 1, 10, 10]


def test_overload_needs_a_tenth_of_the_next_hundred_slots() -> None:
    """An instance overloads when more than 10 % of U[0:100] exceed 0.95, not at exactly 10 %."""
    anticipator = Anticipator(1000)
    anticipator.start("ten", 951, 10)
    assert anticipator.overload() == pytest.approx(0.10)
    assert not anticipator.overloaded
    anticipator.start("eleven", 951, 11)
    assert anticipator.overloaded
    assert anticipator.peak() == pytest.approx((951 + 9) * 2 / 1000)


def test_reservations_count_only_as_committed() -> None:
    """What is accepted and not prefilled leaves U alone, and counts in what admission looks at."""
    anticipator = Anticipator(1000)
    anticipator.start("runs", 100, 10)
    before = anticipator.projected().copy()
    anticipator.reserve("comes", 300, 20)
    assert (anticipator.projected() == before).all()
    assert anticipator.committed()[0] == pytest.approx(0.4)
    anticipator.start("comes", 300, 20)
    assert anticipator.projected()[0] == pytest.approx(0.4)
    assert (anticipator.committed() == anticipator.projected()).all()


def test_strangers_are_ignored_and_bounds_checked() -> None:
    """Progress or end of an unknown request changes nothing; an impossible capacity is refused."""
    anticipator = Anticipator(1000)
    anticipator.progress("x", 5)
    anticipator.finish("x")
    assert anticipator.peak() == 0
    with pytest.raises(ValueError, match="kv_capacity_tokens is 0"):
        Anticipator(0)


def test_another_capacity_counts_at_once() -> None:
    """When an engine comes back with another KV cache, all shares are of the new one."""
    anticipator = Anticipator(1000)
    anticipator.start("runs", 100, 10)
    anticipator.reserve("comes", 300, 20)
    assert (anticipator.peak(1), anticipator.committed()[0]) == (pytest.approx(0.1), pytest.approx(0.4))
    anticipator.kv_capacity_tokens = 2000
    assert (anticipator.peak(1), anticipator.committed()[0]) == (pytest.approx(0.05), pytest.approx(0.2))


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 300), st.booleans()), max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(1, 400)), max_size=12),
    st.integers(1, 700),
    st.integers(1, 400),
)
def test_bids_see_u_without_writing_it_out(
    load: list[tuple[int, int, bool]], moves: list[tuple[int, int]], slots: int, prompt: int
) -> None:
    """Sums and peaks from the ramps' ends are those of U written out slot by slot, the peak bit for bit."""
    anticipator = Anticipator(9_973, slots=700)
    ends: dict[int, int] = {}
    for number, (held, length, started) in enumerate(load):
        (anticipator.start if started else anticipator.reserve)(str(number), held, length)
        if started:
            ends[number] = length
    for number, generated in moves:
        if number in ends:
            anticipator.progress(str(number), generated)
    own = (prompt + np.arange(slots)) / 9_973
    assert anticipator.peak_with(prompt, slots) == (anticipator.committed(slots) + own).max()
    held_in_all = anticipator.projected(slots).sum() * 9_973
    assert anticipator.decoding().token_iterations(slots) == pytest.approx(held_in_all)
    if not moves:
        assert anticipator.decoding().ramp_iterations(slots) == sum(min(e, slots) for e in ends.values())
    for number in range(len(load)):
        anticipator.finish(str(number))
    assert anticipator.peak_with(prompt, slots) == (prompt + slots - 1) / 9_973
    assert anticipator.decoding().token_iterations(slots) == 0
