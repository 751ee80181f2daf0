"""Engines iteration by iteration: what holds under every scheduler, and agreement with the engine model."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.chunking import niyama
from presage_policies.engine import Batch, EngineProfile, EngineRequest, IterationCoefficients
from presage_policies.engine.stratified import NIYAMA_LLAMA_3_8B_A100
from presage_policies.objectives import Objectives
from presage_simulator.iterations import (
    Deployment,
    EngineModel,
    Group,
    IterationsOutcome,
    Scheduler,
    simulate_iterations,
)
from presage_simulator.workload import SLOClass, Workload

CLASSES = (
    SLOClass("interactive", Objectives(6.0, 0.05)),
    SLOClass("batch", Objectives(600.0, 0.4), deadline_seconds=600.0),
)
NAMES = ("interactive", "batch")
A100 = EngineModel(NIYAMA_LLAMA_3_8B_A100, kv_capacity_tokens=454_384)
SMALL = EngineModel(NIYAMA_LLAMA_3_8B_A100, kv_capacity_tokens=3_200, max_sequences=8)
SCHEDULERS = (
    Scheduler("FCFS", 256),
    Scheduler("EDF", 256),
    Scheduler("SRPF", 256),
    Scheduler("LeastSlack", 512, relegates=True),
    Scheduler("Hybrid", None, relegates=True),
)
PROFILE = EngineProfile(
    "test",
    IterationCoefficients(0.02, 6e-5, -2e-5, 1.7e-7, 7e-9),
    kv_capacity_tokens=640,
    max_sequences=4,
    token_budget=64,
)

requests = st.lists(
    st.tuples(st.floats(0.0, 0.2), st.integers(1, 300), st.integers(1, 40), st.integers(0, 1)),
    min_size=1,
    max_size=25,
)
Drawn = list[tuple[float, int, int, int]]


def workload(drawn: Drawn) -> Workload:
    """Build a workload from (gap s, prompt tokens, output tokens, class)."""
    gaps, prompt, output, klass = (np.array(column) for column in zip(*drawn, strict=True))
    return Workload(
        np.cumsum(gaps.astype(np.float64)),
        prompt.astype(np.int32),
        output.astype(np.int32),
        klass.astype(np.int16),
        np.zeros(len(drawn), dtype=np.int32),
        CLASSES,
    )


def shared(scheduler: Scheduler, replicas: int = 1) -> Deployment:
    """One pool for all classes."""
    return Deployment((Group(scheduler, replicas, NAMES),))


def poisson(rate: float, seconds: float, seed: int, prompt: int = 2_000, output: int = 30) -> Workload:
    """Build requests of one shape at a rate, classes by turns."""
    rng = np.random.default_rng(seed)
    count = rng.poisson(rate * seconds)
    gaps = rng.exponential(1 / rate, count)
    return workload([(float(gap), prompt, output, index % 2) for index, gap in enumerate(gaps)])


def stepped(load: Workload, profile: EngineProfile) -> tuple[list[float], list[float], int]:
    """Serve with the engine model's own scheduler: first and last tokens (s), and preemptions."""
    batch, now, arrived = Batch(profile), 0.0, 0
    first, last = [np.nan] * len(load), [np.nan] * len(load)
    iteration = None
    while iteration is not None or arrived < len(load):
        ends = np.inf if iteration is None else now + iteration.seconds
        if arrived < len(load) and load.at[arrived] <= ends:
            at = float(load.at[arrived])
            batch.add(
                EngineRequest(
                    str(arrived), at, int(load.prompt_tokens[arrived]), int(load.output_tokens[arrived])
                )
            )
            arrived += 1
            if iteration is None:
                now, iteration = at, batch.begin(at)
            continue
        assert iteration is not None
        now = ends
        result = batch.complete(iteration)
        for request_id in result.first_tokens:
            first[int(request_id)] = now
        for request_id in result.finished:
            last[int(request_id)] = now
        iteration = batch.begin(now)
    return first, last, batch.preemptions


@settings(max_examples=150, deadline=None)
@given(drawn=requests)
def test_fixed_chunks_in_order_of_arrival_are_the_engine_model(drawn: Drawn) -> None:
    """Under FCFS, fixed chunks and the linear model, tokens come when `Batch` says, to the microsecond."""
    load = workload(drawn)
    outcome = simulate_iterations(
        load, shared(Scheduler("FCFS", PROFILE.token_budget)), EngineModel.of_profile(PROFILE), seed=0
    )
    first, last, preemptions = stepped(load, PROFILE)
    np.testing.assert_allclose(outcome.first_token, first, atol=1e-6, rtol=0)
    np.testing.assert_allclose(outcome.finished, last, atol=1e-6, rtol=0)
    assert outcome.preempted.sum() == preemptions


@settings(max_examples=100, deadline=None)
@given(drawn=requests, scheduler=st.sampled_from(SCHEDULERS), replicas=st.integers(1, 3))
def test_requests_and_kv_are_conserved(drawn: Drawn, scheduler: Scheduler, replicas: int) -> None:
    """Under every scheduler every request ends once, after it began, and KV stays within its bound."""
    load = workload(drawn)
    outcome = simulate_iterations(load, shared(scheduler, replicas), SMALL, seed=0)
    assert np.isfinite(outcome.finished).all()
    assert (outcome.first_token > load.at).all()
    assert (outcome.finished >= outcome.first_token).all()
    assert 0.0 < outcome.kv_peak <= 1.0
    least = NIYAMA_LLAMA_3_8B_A100.small.fixed
    steps = (outcome.finished - outcome.first_token) / np.maximum(1, load.output_tokens - 1)
    assert (steps[load.output_tokens > 1] >= least).all()


@settings(max_examples=30, deadline=None)
@given(drawn=requests, scheduler=st.sampled_from(SCHEDULERS), cut=st.integers(0, 24))
def test_nothing_acts_on_its_future(drawn: Drawn, scheduler: Scheduler, cut: int) -> None:
    """What happened before a request came does not depend on its coming."""
    load = workload(drawn)
    cut = min(cut, len(load) - 1)
    until = load.at[cut]
    whole = simulate_iterations(load, shared(scheduler), SMALL, seed=0)
    before = simulate_iterations(load.part(0, max(cut, 1)), shared(scheduler), SMALL, seed=0)
    ended = before.finished < until
    np.testing.assert_array_equal(whole.finished[: len(ended)][ended], before.finished[ended])


@settings(max_examples=30, deadline=None)
@given(drawn=requests, scheduler=st.sampled_from(SCHEDULERS), which=st.integers(0, 24))
def test_no_decision_sees_a_true_length(drawn: Drawn, scheduler: Scheduler, which: int) -> None:
    """Until a response ends, nothing that happens depends on how long it will be."""
    load = workload(drawn)
    which = min(which, len(load) - 1)
    longer = load.output_tokens.copy()
    longer[which] += 50
    told = simulate_iterations(load, shared(scheduler), SMALL, seed=0)
    other = simulate_iterations(replace(load, output_tokens=longer), shared(scheduler), SMALL, seed=0)
    until = told.finished[which]
    for one, another in ((told.first_token, other.first_token), (told.finished, other.finished)):
        before = one < until
        np.testing.assert_array_equal(one[before], another[before])


@pytest.mark.parametrize("routing", ["RoundRobin", "Random", "LeastPrefill"])
def test_same_seed_gives_the_same_bytes(routing: str) -> None:
    """A run is the same to the byte in its seed, whatever the routing."""
    load = poisson(20.0, 30.0, seed=1)
    deployment = replace(shared(SCHEDULERS[4], 4), routing=routing)
    first, again = (simulate_iterations(load, deployment, A100, seed=3) for _ in range(2))
    assert first.finished.tobytes() == again.finished.tobytes()
    assert first.replica.tobytes() == again.replica.tobytes()


def test_silos_keep_classes_apart() -> None:
    """In a silo a class is served by its own replicas alone, and another class's load does not touch it."""
    silo = Deployment(
        (Group(Scheduler("FCFS", 256), 2, ("interactive",)), Group(Scheduler("FCFS", 256), 1, ("batch",)))
    )
    load = poisson(6.0, 60.0, seed=2)
    outcome = simulate_iterations(load, silo, A100, seed=0)
    assert set(outcome.replica[load.klass == 0]) == {0, 1}
    assert set(outcome.replica[load.klass == 1]) == {2}
    longer = replace(
        load, prompt_tokens=np.where(load.klass == 1, 8_000, load.prompt_tokens).astype(np.int32)
    )
    again = simulate_iterations(longer, silo, A100, seed=0)
    np.testing.assert_array_equal(outcome.finished[load.klass == 0], again.finished[load.klass == 0])


def test_dynamic_chunks_serve_more_than_fixed_ones() -> None:
    """At a load beyond what chunks of 256 tokens stand, Niyama still meets what EDF with them misses."""
    load = poisson(4.0, 1_200.0, seed=4, prompt=2_400)
    missed = [
        simulate_iterations(load, shared(scheduler), A100, seed=0).violated.mean()
        for scheduler in (Scheduler("EDF", 256), Scheduler("Hybrid", None, relegates=True))
    ]
    assert missed[0] > 0.2
    assert missed[1] < 0.01


def test_relegated_are_those_that_cannot_make_it() -> None:
    """In overload, relegated requests miss and are served last; those before them are then served in time."""
    load = poisson(12.0, 120.0, seed=5, prompt=2_400)
    relegating = simulate_iterations(load, shared(SCHEDULERS[4]), A100, seed=0)
    plain = simulate_iterations(load, shared(Scheduler("Hybrid", None)), A100, seed=0)
    assert relegating.relegated.any()
    interactive = load.klass == 0
    assert relegating.violated[interactive].mean() < plain.violated[interactive].mean() - 0.2
    assert relegating.ttft[relegating.relegated & interactive].min() > 6.0


def test_figures_are_of_the_right_classes() -> None:
    """Interactive requests violate by TTFT, batch requests by the time to the last token."""
    load = workload([(0.0, 10, 2, 0), (0.0, 10, 2, 1), (0.0, 10, 2, 0)])
    at = load.at
    outcome = IterationsOutcome(
        load,
        replicas=1,
        first_token=at + np.array([5.9, 599.0, 6.1]),
        finished=at + np.array([900.0, 601.0, 6.2]),
        late=np.array([True, False, False]),
        relegated=np.zeros(3, dtype=bool),
        preempted=np.zeros(3, dtype=np.int32),
        replica=np.zeros(3, dtype=np.int32),
        iterations=1,
        busy_seconds=1.0,
        kv_peak=0.1,
    )
    assert outcome.violated.tolist() == [False, True, True]
    figures = outcome.metrics()
    assert figures["violations_interactive"] == 0.5
    assert figures["violations_worst_class"] == 1.0
    assert figures["violations_with_tbt"] == 1.0
    assert figures["ttft_p50_ms_interactive"] == pytest.approx(6_000.0)


def test_bad_deployments_are_named() -> None:
    """A class that nobody serves and a request that fits no engine are refused by name."""
    load = workload([(0.0, 10, 2, 0)])
    with pytest.raises(ValueError, match="groups serve the classes"):
        simulate_iterations(load, Deployment((Group(SCHEDULERS[0], 1, ("batch",)),)), A100, seed=0)
    with pytest.raises(ValueError, match="kv_capacity_tokens"):
        simulate_iterations(workload([(0.0, 9_000, 2, 0)]), shared(SCHEDULERS[0]), SMALL, seed=0)
    with pytest.raises(ValueError, match="replicas is 0"):
        Group(SCHEDULERS[0], 0, NAMES)
    with pytest.raises(ValueError, match="chunk_tokens is 0"):
        Scheduler("FCFS", 0)


def test_chunk_is_the_largest_that_fits() -> None:
    """The dynamic chunk is the largest whose time with the margin fits the slack, else the smallest."""
    seconds = np.array([0.1, 0.2, 0.4])
    assert niyama.largest_fitting(seconds, slack=0.24, margin=1.2) == 1
    assert niyama.largest_fitting(seconds, slack=1.0, margin=1.2) == 2
    assert niyama.largest_fitting(seconds, slack=-5.0, margin=1.2) == 0
