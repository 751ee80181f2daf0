"""The kernel conserves requests and KV, acts on nothing that is not known yet, and repeats to the byte."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.engine import EngineProfile, IterationCoefficients
from presage_policies.objectives import Objectives
from presage_policies.scaling import Limits, Observation, PreServe, Sizing
from presage_policies.scaling.preserve import PreServeState
from presage_simulator.fleet import Fleet
from presage_simulator.kernel.state import NONE
from presage_simulator.length_sources import HistoryLengths, MeanLengths, OracleLengths, PriorLengths
from presage_simulator.results import Outcome
from presage_simulator.simulation import simulate, stream
from presage_simulator.systems import ColdStart, LengthSource, Pool, Routing, Scaler, System
from presage_simulator.workload import PrefixBlocks, SLOClass, Workload

PROFILE = EngineProfile("small", IterationCoefficients(0.01, 5e-5, 1e-5, 2e-7, 1e-9), 4096, 16, 16, 256)
OBJECTIVES = Objectives(1.0, 0.05)
POOL = Pool(PROFILE, 2, 2, 2)

requests = st.lists(
    st.tuples(st.floats(0, 0.4), st.integers(1, 3000), st.integers(1, 300)), min_size=1, max_size=80
)
routings = st.builds(
    Routing,
    policy=st.sampled_from(["LeastBid", "PrefixTokenLoad", "WeightedScore", "RoundRobin"]),
    age_seconds=st.sampled_from([0.0, 0.3]),
    binding=st.sampled_from(["late", "early"]),
    order=st.sampled_from(["FCFS", "EDF", "ShortestOracle", "LeastSlack"]),
    max_waiting=st.sampled_from([2, 200]),
    max_wait_seconds=st.sampled_from([0.5, 60.0]),
)


def workload(arrivals: list[tuple[float, int, int]], *, prefixes: bool = False) -> Workload:
    """Return requests with these gaps and lengths; with prefixes, of three families that share blocks."""
    made = Workload.of(
        np.cumsum([gap for gap, _, _ in arrivals]),
        [prompt for _, prompt, _ in arrivals],
        [output for _, _, output in arrivals],
        OBJECTIVES,
    )
    if not prefixes:
        return made
    counts = made.prompt_tokens // 64
    families = np.arange(len(made)) % 3
    ids = [np.arange(count) + 100 * family for count, family in zip(counts, families, strict=True)]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return replace(made, prefix=PrefixBlocks(np.concatenate(ids).astype(np.int32), offsets, 64))


def drawn(count: int, rate: float, seed: int = 0) -> Workload:
    """Return Poisson arrivals of short requests."""
    rng = np.random.default_rng(seed)
    return Workload.of(
        np.cumsum(rng.exponential(1 / rate, count)),
        rng.integers(20, 600, count),
        rng.integers(1, 150, count),
        OBJECTIVES,
    )


def columns(outcome: Outcome) -> tuple[bytes, ...]:
    """Return the bytes of every request's fate."""
    return tuple(
        getattr(outcome, name).tobytes() for name in ("bound", "first_token", "finished", "instance")
    )


@settings(max_examples=60, deadline=None)
@given(requests, routings, st.booleans())
def test_requests_and_kv_are_conserved(
    arrivals: list[tuple[float, int, int]], routing: Routing, prefixes: bool
) -> None:
    """Every request has one fate in the order of causes, and engines end with no request and no KV held."""
    load = workload(arrivals, prefixes=prefixes)
    fleet = Fleet(POOL, routing, load.classes, load.prefix, 0)
    fleet.admit(load, 0, len(load), 0, load.output_tokens.astype(np.float64), foresee=False)
    fleet.close()
    fleet.run(np.inf)
    fates = fleet.fates()
    assert sorted(fates["index"]) == list(range(len(load)))
    ended = fates[np.isfinite(fates["finished"])]
    assert (ended["arrived"] <= ended["bound"]).all()
    assert (ended["bound"] < ended["first"]).all()
    assert (ended["first"] <= ended["finished"]).all()
    too_long = (load.prompt_tokens + load.output_tokens)[fates["index"]] > 4096
    assert np.isnan(fates["finished"][too_long]).all()
    engines = fleet._world.live.instances
    for name in ("used", "running", "waiting", "requests", "ramps", "kept", "prefilling", "kv_tokens"):
        assert (engines[name] == 0).all(), name
    assert engines["token_load"] == pytest.approx(0)
    users = fleet._world.prefixes.users
    assert ((users == 0).sum(axis=1) == engines["cached"][: len(users)]).all()
    assert (users[users != NONE] == 0).all()
    assert (engines["cached"] * 64 <= 4096).all()


def test_no_policy_sees_a_true_length() -> None:
    """Runs that differ only in true lengths decide the same until the first response ends.

    Predictions are the same, and lengths differ from the 100th token on, so nothing observable does before.
    """

    class Blind(MeanLengths):
        def prepare(self, workload: Workload, seed: int) -> None:
            self._mean = np.full(len(workload), 50.0)

    load = drawn(400, 9.0, seed=4)
    for routing in (Routing(), Routing(order="LeastSlack"), Routing("PrefixTokenLoad", binding="early")):
        outcomes = [
            simulate(POOL, System("x", routing, Blind()), replace(load, output_tokens=lengths), 0)
            for lengths in (load.output_tokens + 100, load.output_tokens + 400)
        ]
        first_end = min(np.nanmin(outcome.finished) for outcome in outcomes)
        before = load.at < first_end
        assert before.sum() > 10
        bound = [np.where(o.bound < first_end, o.instance, -1)[before].tolist() for o in outcomes]
        assert bound[0] == bound[1]


def test_lengths_are_learned_only_when_they_are_out() -> None:
    """The source is told each length once, and only of responses that ended before it is asked again."""
    told: list[int] = []

    class Watching(OracleLengths):
        learns = True

        def predict(self, first: int, last: int) -> np.ndarray:
            asked.append((first, set(told)))
            return super().predict(first, last)

        def observe(self, indices: np.ndarray, output_tokens: np.ndarray) -> None:
            assert (output_tokens == load.output_tokens[indices]).all()
            told.extend(indices.tolist())

    asked: list[tuple[int, set[int]]] = []
    load = drawn(600, 4.0)
    outcome = simulate(POOL, System("x", Routing(), Watching()), load, 0)
    assert len(told) == len(set(told))
    for first, known in asked:
        assert all(outcome.finished[index] <= load.at[first] for index in known)
    assert len(asked[-1][1]) > 100


@pytest.mark.parametrize("source", [OracleLengths(), MeanLengths(), PriorLengths()])
def test_a_simulation_repeats_to_the_byte(source: LengthSource) -> None:
    """The same arguments give the same outcome, scaler and cold starts included."""
    pool = Pool(PROFILE, 1, 6, 1, ColdStart(8.0, 12.0))
    system = System("x", Routing(order="LeastSlack"), source, Scaler(PreServe(), Limits(1, 6), 5.0))
    runs = [simulate(pool, system, drawn(800, 12.0), 3) for _ in range(2)]
    assert columns(runs[0]) == columns(runs[1])
    assert runs[0].decisions == runs[1].decisions
    assert runs[0].replica_seconds == runs[1].replica_seconds
    assert runs[0].replicas.ready.max() > 1


def test_parts_are_as_good_as_the_whole() -> None:
    """A workload streamed in parts has the same fates as in one, with the requests of parts that run on."""
    load = drawn(900, 8.0)
    system = System("x", Routing(), OracleLengths())
    whole = simulate(POOL, system, load, 0)
    finished = np.full(len(load), np.nan)

    def take(fates: np.ndarray) -> None:
        finished[fates["index"]] = fates["finished"]

    stream(POOL, system, (load.part(first, first + 100) for first in range(0, 900, 100)), 0, take)
    np.testing.assert_array_equal(finished, whole.finished)


def test_signals_are_as_old_as_they_say() -> None:
    """Before the first snapshot no choice depends on what is in the engines; fresh ones do."""
    light = Workload.of(np.linspace(0.01, 0.9, 30), [100] * 30, [50] * 30, OBJECTIVES)
    heavy = replace(light, prompt_tokens=np.where(np.arange(30) % 3 == 0, 3000, 100).astype(np.int32))
    for age, same in ((0.0, False), (1.0, True)):
        routing = Routing("LeastBid", 3, age, "early")
        chosen = [
            simulate(Pool(PROFILE, 4, 4, 4), System("x", routing, OracleLengths()), load, 0).instance
            for load in (light, heavy)
        ]
        assert (chosen[0].tolist() == chosen[1].tolist()) is same


@pytest.mark.parametrize("source", [OracleLengths(), HistoryLengths()])
@pytest.mark.parametrize("first", [0.4, 5.3, 12.0, 13.0, 14.7])
def test_scrapes_are_never_missed(source: LengthSource, first: float) -> None:
    """Whenever a scaler looks its metrics are a scrape old at most, and rates are those that were served.

    Sources that learn stop the clock at moments of their own, whenever the first request comes.
    """
    seen: list[Observation] = []

    class Watching(PreServe):
        def size(self, state: PreServeState, observation: Observation) -> tuple[PreServeState, Sizing]:
            seen.append(observation)
            return super().size(state, observation)

    every = 0.25  # s between requests of 100 + 50 tokens: 400 prompt tokens/s
    load = Workload.of(first + every * np.arange(1200), [100] * 1200, [50] * 1200, OBJECTIVES)
    scaler = Scaler(Watching(), Limits(2, 2), 15.0, 5.0)
    simulate(Pool(PROFILE, 2, 2, 2), System("x", Routing(), source, scaler), load, 0)
    known = [each for each in seen if 90 < each.now < 290]
    assert len(known) > 10
    for each in known:
        assert each.metrics_age_seconds == 2.5
        rates = [instance.prompt_rate for instance in each.instances]
        assert sum(rates) == pytest.approx(100 / every, rel=0.05)


def test_a_prefix_hit_needs_no_prefill() -> None:
    """The second prompt with the same blocks on the same instance has its first token sooner."""
    blocks = PrefixBlocks(np.array([0, 1, 2, 3] * 2, np.int32), np.array([0, 4, 8], np.int64), 256)
    load = Workload.of([0.0, 5.0], [1024, 1024], [10, 10], OBJECTIVES)
    one = Pool(PROFILE, 1, 1, 1)
    ttft = simulate(one, System("x", Routing(), OracleLengths()), replace(load, prefix=blocks), 0).ttft
    assert ttft[1] < ttft[0] / 2
    plain = simulate(one, System("x", Routing(), OracleLengths()), load, 0).ttft
    assert plain[1] == pytest.approx(plain[0])


def test_whole_deadlines_count() -> None:
    """A class's deadline for the whole response decides who met it."""
    classes = (SLOClass("batch", OBJECTIVES, deadline_seconds=0.2),)
    load = replace(Workload.of([0.0, 10.0], [100, 100], [2, 200], OBJECTIVES), classes=classes)
    outcome = simulate(POOL, System("x", Routing(), OracleLengths()), load, 0)
    assert outcome.met.tolist() == [True, False]


def test_what_is_not_known_is_refused() -> None:
    """Unknown policies and orders are named, with what there is."""
    load = drawn(3, 1.0)
    for routing in (Routing("Best"), Routing(order="Last")):
        with pytest.raises(ValueError, match=r"routing\.(policy|order) is .* give one of"):
            simulate(POOL, System("x", routing, OracleLengths()), load, 0)
