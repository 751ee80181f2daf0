"""True lengths are under seal: a policy that uses one ends the run, and honest ones never notice."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from presage_policies.lengths import LengthDistribution, RequestFeatures
from presage_policies.queueing import EDF, FCFS, LeastSlack, Order, ShortestPredicted, Waiting
from presage_policies.routing import PICKS, RIVALS, Bid, PickState
from presage_policies.routing.least_bid import LeastBid
from presage_simulator.arrivals import Arrival
from presage_simulator.outcome import Outcome
from presage_simulator.replay import Replay, Scenario
from presage_simulator.sealed import OracleBoundaryError, Sealed, Seals

from .conftest import PROFILE, load, scenario

BURST = tuple(Arrival(0.001 * i, 200 + i, 5 + 7 * i % 90) for i in range(60))  # so many that some wait


class Constant:
    """An honest predictor: 50 tokens for everyone; it notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return 50 tokens."""
        return LengthDistribution.constant(50)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Note the prompt and what came out."""
        self.told.append((features.prompt_tokens, output_tokens))


class ReadsFeatures(Constant):
    """A cheat: predicts what leaked into the features."""

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the true length."""
        return LengthDistribution.constant(features.client)  # type: ignore[arg-type]  # what leaked


class ReadsWaiting(FCFS):
    """A cheat: puts first whose leaked length is the shortest."""

    def key(self, waiting: Waiting, now: float) -> tuple[float, ...]:
        """Return the true length."""
        return (waiting.client,)  # type: ignore[return-value]  # what leaked


class ReadsReplay(LeastBid):
    """A cheat: has got hold of the replay, and follows the longest response."""

    replay: Replay

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return where the longest response is."""
        longest = max(self.replay._requests.values(), key=lambda r: r.output_tokens)  # type: ignore[arg-type,return-value]
        return longest.instance or super().choose(bids, state)


def leaky(changed: Scenario, arrivals: Sequence[Arrival] = BURST) -> Replay:
    """Return a replay with a bug: the length, sealed, goes into all that predictors and orders are given."""
    replay = Replay(changed, arrivals)
    for request in replay._requests.values():
        request.features = replace(request.features, client=request.output_tokens)  # type: ignore[arg-type]  # the bug
    return replay


def honest(**changes: Any) -> Scenario:
    """Return a scenario in which nobody cheats, but for the changes."""
    return replace(scenario(instances=2), predictor=Constant(), **changes)


@pytest.mark.parametrize("cheat", [{"predictor": ReadsFeatures()}, {"order": ReadsWaiting()}])
def test_a_policy_that_uses_what_leaked_ends_the_run(cheat: dict[str, Any]) -> None:
    """Where a true length gets into the features or the waiting request, using it fails and says whose."""
    with pytest.raises(OracleBoundaryError, match=r"on the true length of r\d+"):
        leaky(replace(honest(), **cheat)).run()


def test_a_policy_that_searches_the_replay_ends_the_run() -> None:
    """A pick policy that looks requests up in the replay finds seals and no lengths."""
    pick = ReadsReplay(2)
    replay = Replay(honest(pick=pick), BURST)
    pick.replay = replay
    with pytest.raises(OracleBoundaryError, match=r"choose .*used __gt__ on the true length of r\d+"):
        replay.run()


def fates(outcome: Outcome) -> list[tuple[object, ...]]:
    """Return what became of each request."""
    return [(s.instance, s.first_token, s.finished, s.output_tokens) for s in outcome.served]


@pytest.mark.parametrize("order", [FCFS(), EDF(), ShortestPredicted(), LeastSlack(PROFILE)])
@pytest.mark.parametrize("pick", sorted(PICKS | RIVALS))
def test_honest_policies_never_touch_a_seal(pick: str, order: Order) -> None:
    """With seals in all that they are given, our policies and their rivals decide as without."""
    changes = {"pick": (PICKS | RIVALS)[pick](2), "order": order}
    again = {"pick": (PICKS | RIVALS)[pick](2), "order": order}
    assert fates(leaky(honest(**changes)).run()) == fates(Replay(honest(**again), BURST).run())


def test_lengths_come_out_in_the_end() -> None:
    """Outcomes have the lengths of the arrivals, and the predictor is told what the engine brought out."""
    predictor = Constant()
    arrivals = load([6.0] * 4)
    outcome = Replay(replace(honest(), predictor=predictor), arrivals).run()
    assert [s.output_tokens for s in outcome.served] == [a.output_tokens for a in arrivals]
    assert all(s.finished is not None for s in outcome.served)
    assert sorted(predictor.told) == sorted((a.prompt_tokens, a.output_tokens) for a in arrivals)


@pytest.mark.parametrize(
    ("touch", "use"),
    [
        ("__add__", lambda s: s + 1),
        ("__rsub__", lambda s: 1 - s),
        ("__mul__", lambda s: s * 2.0),
        ("__rtruediv__", lambda s: 1 / s),
        ("__neg__", lambda s: -s),
        ("__lt__", lambda s: s < 5),
        ("__gt__", lambda s: 5 < s),  # noqa: SIM300 - the other side's comparison
        ("__eq__", lambda s: s == 5),
        ("__ne__", lambda s: s != 5),
        ("__bool__", bool),
        ("__int__", int),
        ("__float__", float),
        ("__float__", math.sqrt),
        ("__index__", range),
        ("__round__", round),
        ("__hash__", lambda s: {s: 1}),
        ("__repr__", repr),
        ("__str__", str),
        ("__format__", "{}".format),
        ("__array__", np.asarray),
    ],
)
def test_every_use_is_refused(touch: str, use: Callable[[Any], object]) -> None:
    """Arithmetic, comparison, conversion, hash and print fail, and say what was done to whose length."""
    sealed = Seals().seal(5, "the true length of r7")
    with pytest.raises(OracleBoundaryError, match=rf"\(.+\.py:\d+\) used {touch} on the true length of r7"):
        use(sealed)


def test_only_its_own_seals_open_it() -> None:
    """Seals open what they sealed, and nothing else; the sealed object does not have the value in it."""
    seals, others = Seals(), Seals()
    sealed = seals.seal(5, "five")
    assert seals.open(sealed) == 5
    with pytest.raises(KeyError):
        others.open(sealed)
    assert [getattr(sealed, name) for name in Sealed.__slots__] == ["five"]
