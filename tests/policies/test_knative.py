"""Knative's autoscaler: stable and panic windows, and how it enters and leaves panic."""

import pytest
from presage_policies.forecasting import TokenSeries
from presage_policies.scaling import Knative, KnativeParameters, Observation

PARAMETERS = KnativeParameters(concurrency=10.0)  # 7 requests a pod at 70 %


def look(inflight: float | None, now: float, ready: int = 4) -> Observation:
    """Return a pool with so many requests in flight."""
    return Observation(now, TokenSeries.empty(60, 0), None, ready, ready, inflight_requests=inflight)


def run(inflight: list[float], ready: int = 4) -> list[int]:
    """Return what the law wants at looks 2 s apart."""
    law, wanted = Knative(PARAMETERS), []
    state = law.initial()
    for step, value in enumerate(inflight):
        state, sizing = law.size(state, look(value, 2.0 * step, ready))
        wanted.append(sizing.replicas)
    return wanted


def test_stable_window_is_a_mean_of_a_minute() -> None:
    """⌈mean over 60 s / 7⌉: a level of 28 needs four pods, and 28.1 five."""
    assert run([28.0] * 31)[-1] == 4
    assert run([28.1] * 31)[-1] == 5
    assert run([14.0] * 16 + [28.0] * 15)[-1] == 3  # 30 s of each


def test_a_doubling_panics_and_does_not_shrink() -> None:
    """Six seconds at twice what is ready panic; within a minute after it the pods stay."""
    wanted = run([28.0] * 31 + [60.0] * 4 + [0.0] * 30)
    assert wanted[34] == 9
    assert wanted[35:60] == [9] * 25
    assert run([28.0] * 31 + [60.0] * 4 + [0.0] * 40)[-1] < 9


def test_below_the_threshold_it_stays_calm() -> None:
    """A burst to seven pods for four ready ones does not panic: the minute's mean decides."""
    assert run([28.0] * 31 + [49.0] * 4)[-1] == 5


def test_scale_down_is_at_most_half() -> None:
    """At a scale-down rate of 2, four ready pods become two, not none."""
    assert run([0.0] * 31)[-1] == 2


def test_unknown_concurrency_holds() -> None:
    """Without a reading nothing changes."""
    law = Knative(PARAMETERS)
    _, sizing = law.size(law.initial(), look(None, 0.0))
    assert (sizing.replicas, sizing.hold_down) == (4, True)


def test_parameters_are_checked() -> None:
    """What makes no sense is refused by name."""
    for bad, word in (({"concurrency": 0}, "concurrency"), ({"utilisation": 2}, "utilisation")):
        with pytest.raises(ValueError, match=word):
            KnativeParameters(**bad)
    with pytest.raises(ValueError, match="must exceed 1"):
        KnativeParameters(down_rate=1.0)
