"""The fast kernel does what the slow reference does, to the microsecond of virtual time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.engine import EngineProfile, IterationCoefficients
from presage_policies.lengths import LengthDistribution, RequestFeatures
from presage_policies.objectives import Objectives
from presage_policies.queueing import EDF, FCFS, LeastSlack, Order, ShortestPredicted
from presage_policies.routing import PICKS, RIVALS
from presage_simulator.arrivals import Arrival
from presage_simulator.length_sources import NoisyOracleLengths, mean_tokens
from presage_simulator.outcome import Outcome as Reference
from presage_simulator.replay import Replay, Scenario
from presage_simulator.results import Outcome
from presage_simulator.simulation import simulate
from presage_simulator.systems import Pool, Routing, System
from presage_simulator.workload import Workload

MICROSECOND = 1e-6
OBJECTIVES = Objectives(0.6, 0.03)

gaps = st.one_of(st.just(0.0), st.floats(0.0, 0.3))
requests = st.lists(st.tuples(gaps, st.integers(1, 900), st.integers(1, 160)), min_size=1, max_size=60)
profiles = st.builds(
    lambda kv, sequences, budget: EngineProfile(
        "small", IterationCoefficients(0.01, 5e-5, 1e-5, 2e-7, 1e-9), kv, 16, sequences, budget
    ),
    st.sampled_from([1024, 1600, 4096]),
    st.sampled_from([3, 8, 32]),
    st.sampled_from([16, 256]),
)
late = st.builds(
    Routing,
    policy=st.sampled_from(sorted(PICKS | RIVALS)),
    bids=st.integers(1, 3),
    order=st.sampled_from(["FCFS", "EDF", "ShortestPredicted", "LeastSlack"]),
    max_waiting=st.sampled_from([3, 40]),
    max_wait_seconds=st.sampled_from([0.37, 30.0]),
)
early = st.builds(
    Routing,
    policy=st.sampled_from(sorted(PICKS | RIVALS)),
    bids=st.integers(1, 3),
    binding=st.just("early"),
)


class Told:
    """A predictor that says what the kernel's length source said, in order of arrival."""

    def __init__(self, means: np.ndarray) -> None:
        self._means = iter(means.tolist())

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the next prediction."""
        return LengthDistribution.constant(next(self._means))

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn nothing."""


def order_of(name: str, profile: EngineProfile) -> Order:
    """Return the order object of that name."""
    orders: dict[str, Order] = {
        "FCFS": FCFS(),
        "EDF": EDF(),
        "ShortestPredicted": ShortestPredicted(),
        "LeastSlack": LeastSlack(profile),
    }
    return orders[name]


def both(  # noqa: PLR0917 - the arguments of the tests
    profile: EngineProfile,
    routing: Routing,
    arrivals: list[tuple[float, int, int]],
    instances: int,
    sigma: float,
    seed: int,
) -> tuple[Outcome, Reference]:
    """Run kernel and reference over the same requests, predictions and random choices."""
    at = np.cumsum([gap for gap, _, _ in arrivals])
    workload = Workload.of(at, [p for _, p, _ in arrivals], [o for _, _, o in arrivals], OBJECTIVES)
    lengths = NoisyOracleLengths(sigma)
    fast = simulate(
        Pool(profile, instances, instances, instances), System("fast", routing, lengths), workload, seed
    )
    scenario = Scenario(
        profile,
        OBJECTIVES,
        (PICKS | RIVALS)[routing.policy](routing.bids),
        Told(mean_tokens(lengths.predict(0, len(workload)))),
        instances=instances,
        order=order_of(routing.order, profile),
        max_waiting=routing.max_waiting,
        max_wait_seconds=routing.max_wait_seconds,
        binding=routing.binding,
    )
    replayed = [Arrival(float(t), p, o) for t, (_, p, o) in zip(at, arrivals, strict=True)]
    slow = Replay(scenario, replayed, np.random.default_rng([seed, 0x52])).run()
    return fast, slow


def assert_agree(fast: Outcome, slow: Reference) -> None:
    """Hold every request's first token, end and instance of both against each other."""
    for name in ("first_token", "finished"):
        reference = np.array(
            [getattr(s, name) if getattr(s, name) is not None else np.nan for s in slow.served]
        )
        np.testing.assert_allclose(getattr(fast, name), reference, rtol=0, atol=MICROSECOND)
    placed = [-1 if s.finished is None else int((s.instance or "").removeprefix("pod-")) for s in slow.served]
    assert fast.instance.tolist() == placed
    assert fast.preemptions == slow.preemptions
    assert fast.ended_at == pytest.approx(slow.ended_at, abs=MICROSECOND)


@settings(max_examples=120, deadline=None)
@given(profiles, late, requests, st.integers(1, 4), st.sampled_from([0.0, 0.7]), st.integers(0, 99))
def test_late_binding_agrees(  # noqa: PLR0917 - drawn one by one
    profile: EngineProfile,
    routing: Routing,
    arrivals: list[tuple[float, int, int]],
    instances: int,
    sigma: float,
    seed: int,
) -> None:
    """With a waiting room in any order, every policy chooses the same and every token comes as soon."""
    assert_agree(*both(profile, routing, arrivals, instances, sigma, seed))


@settings(max_examples=80, deadline=None)
@given(profiles, early, requests, st.integers(1, 4), st.sampled_from([0.0, 0.7]), st.integers(0, 99))
def test_early_binding_agrees(  # noqa: PLR0917 - drawn one by one
    profile: EngineProfile,
    routing: Routing,
    arrivals: list[tuple[float, int, int]],
    instances: int,
    sigma: float,
    seed: int,
) -> None:
    """With queues in the engines, every policy chooses the same and every token comes as soon."""
    assert_agree(*both(profile, routing, arrivals, instances, sigma, seed))
