"""Replays conserve requests and KV, repeat to the byte, and act on nothing that is not known yet."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.lengths import LengthDistribution, RequestFeatures
from presage_policies.routing import PICKS
from presage_simulator.arrivals import Arrival
from presage_simulator.instance import Instance
from presage_simulator.replay import Replay

from .conftest import OBJECTIVES, day, load, scaling, scenario

shapes = st.tuples(st.floats(0, 20), st.integers(1, 2000), st.integers(1, 400))


@settings(max_examples=15, deadline=None)
@given(st.lists(shapes, min_size=1, max_size=60), st.sampled_from(sorted(PICKS)), st.integers(1, 3))
def test_requests_are_conserved(arrivals: list[tuple[float, int, int]], pick: str, instances: int) -> None:
    """Every arrival is served whole, turned away, or refused by the engine: exactly one fate each."""
    replay = Replay(scenario(pick, instances=instances), [Arrival(*a) for a in arrivals])
    outcome = replay.run()
    assert len(outcome.served) == len(arrivals)
    for served in outcome.served:
        if served.finished is None:
            assert served.first_token is None
        else:
            assert served.instance is not None
            assert served.first_token is not None
            assert served.arrived < served.first_token <= served.finished <= outcome.ended_at
    turned_away = sum(s.instance is None for s in outcome.served)
    assert turned_away <= max(0, len(arrivals) - 50) + sum(p + o > 512 for _, p, o in arrivals)


def test_kv_is_conserved() -> None:
    """After the last request every instance has given back all KV, and projects none."""
    replay = Replay(scenario(instances=2), load([6.0] * 12))
    instances: list[Instance] = []
    create = replay._create

    def watched() -> Instance:
        instances.append(create())
        return instances[-1]

    replay._create = watched  # type: ignore[method-assign]  # a test's spy
    outcome = replay.run()
    assert len(instances) == 2
    assert all(s.finished is not None for s in outcome.served)
    for instance in instances:
        assert instance.batch.kv_tokens_used == 0
        assert instance.anticipator.projected().max() == 0
        assert len(instance.anticipator) == 0


@pytest.mark.parametrize("pick", ["LeastBid", "RoundRobin"])
def test_a_replay_repeats_to_the_byte(pick: str) -> None:
    """The same scenario, load and seed give the same outcome, autoscaler included."""
    outcomes = [
        repr(Replay(scenario(pick, scaling=scaling(8.0)), load(day(8.0)[4:12])).run()) for _ in range(2)
    ]
    assert outcomes[0] == outcomes[1]


class Recording:
    """A predictor that notes all it is told, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[str, RequestFeatures, int | None]] = []

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Predict 50 tokens for everyone."""
        self.told.append(("predict", features, None))
        return LengthDistribution.constant(50)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Note what came out."""
        self.told.append(("observe", features, output_tokens))


def test_no_policy_sees_a_true_length() -> None:
    """Until the first response ends, replays that differ only in true lengths decide the same.

    Lengths differ from the second token on, so nothing observable does before the first end.
    """
    arrivals = load([8.0] * 2, seed=4)
    longer = [replace(a, output_tokens=a.output_tokens + 400) for a in arrivals]
    shorter = [replace(a, output_tokens=max(300, a.output_tokens)) for a in arrivals]
    outcomes = [
        Replay(replace(scenario(), predictor=Recording()), variant).run() for variant in (longer, shorter)
    ]
    first_end = min(s.finished for o in outcomes for s in o.served if s.finished is not None)
    bound = [[(s.request_id, s.instance) for s in o.served if s.arrived < first_end] for o in outcomes]
    assert len(bound[0]) > 10
    assert bound[0] == bound[1]


def test_a_length_is_learned_only_when_it_is_out() -> None:
    """The predictor is told each response's length once, after its prediction, at its end."""
    predictor = Recording()
    Replay(replace(scenario(), predictor=predictor), load([4.0] * 4)).run()
    kinds = [kind for kind, _, _ in predictor.told]
    assert kinds.count("predict") == kinds.count("observe")
    for index in range(len(kinds)):
        assert kinds[: index + 1].count("observe") <= kinds[: index + 1].count("predict")


def test_nothing_acts_on_its_past() -> None:
    """Events never run backwards in time, and making one in the past is refused."""
    replay = Replay(scenario(scaling=scaling(8.0)), load(day(8.0)[6:12]))
    seen: list[tuple[float, float]] = []
    original = replay._at

    def spied(time: float, act: Callable[[], None], *rank: int) -> None:
        seen.append((replay.now, time))
        original(time, act, *rank)

    replay._at = spied  # type: ignore[method-assign]  # a test's spy
    replay.run()
    assert all(made <= due for made, due in seen)
    assert [made for made, _ in seen] == sorted(made for made, _ in seen)
    with pytest.raises(RuntimeError, match="nothing acts on its past"):
        original(replay.now - 1, lambda: None)


def test_waiting_is_bounded_and_late_binding_serves_everyone_in_time() -> None:
    """Under a burst that one instance cannot start at once, who waits is served or turned away in time."""
    burst = [Arrival(0.001 * i, 300, 40) for i in range(120)]
    outcome = Replay(scenario(instances=1), burst).run()
    away = [s for s in outcome.served if s.finished is None]
    assert 0 < len(away) < 120
    served = [s for s in outcome.served if s.finished is not None]
    assert [s.first_token for s in served] == sorted(s.first_token or 0 for s in served)


def test_what_no_engine_can_hold_is_refused_not_stuck() -> None:
    """A request larger than any KV cache ends as refused, and the others are served."""
    outcome = Replay(scenario(), [Arrival(0.0, 9000, 10), Arrival(0.1, 100, 10)]).run()
    assert [s.finished is not None for s in outcome.served] == [False, True]


def test_pods_come_before_the_peak_and_go_after_it() -> None:
    """With yesterday as a guide PreServe has its pods ready before the peak, and fewer again after it."""
    outcome = Replay(scenario(instances=1, scaling=scaling(8.0)), load([*day(8.0)[:22]])).run()
    peak_at = WINDOWS_TO_PEAK * 5.0
    before = [r for r in outcome.replicas if r.at <= peak_at]
    assert max(r.ready for r in before) == max(r.ready for r in outcome.replicas) > 1
    assert outcome.replicas[-1].current < max(r.current for r in outcome.replicas)
    assert outcome.attainment(OBJECTIVES) > 0.99


WINDOWS_TO_PEAK = 12


def test_replica_seconds_count_from_creation_to_end() -> None:
    """A fixed fleet's replica-seconds are its size times the replay's length."""
    outcome = Replay(scenario(instances=3), load([2.0] * 3)).run()
    assert outcome.replica_seconds == pytest.approx(3 * outcome.ended_at)


@pytest.mark.parametrize("pick", sorted(PICKS))
def test_nobody_waits_beside_room(pick: str) -> None:
    """After every event, who goes first among the waiting fits no ready instance."""
    burst = [Arrival(0.01 * i, 200 + i, 60) for i in range(120)]
    replay = Replay(scenario(pick, instances=2), burst)
    waited = []
    original = replay._at

    def checked(time: float, act: Callable[[], None], *rank: int) -> None:
        def then_check() -> None:
            act()
            head = replay._room.head(replay.now)
            if head is not None:
                waited.append(head)
                assert not any(replay._fits(i, head) for i in replay._instances.values())

        original(time, then_check, *rank)

    replay._at = checked  # type: ignore[method-assign]  # a test's spy
    replay.run()
    assert waited
