"""Constraints of every policy: the user's bounds hold, and shrinking is only done when it is safe."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.forecasting import TokenSeries
from presage_policies.scaling import (
    Behavior,
    ConstrainState,
    Decision,
    InstanceSignal,
    Limits,
    Observation,
    RatePolicy,
    Rules,
    Sizing,
    constrain,
)

FREE = Behavior(up=Rules(), down=Rules())


def look(current: int, *, peak: float | None = 0.1, age: float | None = 1.0, now: float = 0.0) -> Observation:
    """Return so many ready pods that anticipate `peak`, with metrics of that age."""
    pods = tuple(
        InstanceSignal(f"pod{i}", ready=True, projected_peak=peak, kv_usage=peak) for i in range(current)
    )
    return Observation(
        now,
        TokenSeries.empty(60, 0),
        None,
        current,
        current,
        pods,
        waiting_requests=0.0,
        metrics_age_seconds=age,
    )


def want(replicas: int, *, hold_down: bool = False) -> Sizing:
    """Return what a policy wants."""
    return Sizing(replicas, "the policy's reason", "ForecastDemand", {}, hold_down)


def once(observation: Observation, sizing: Sizing, limits: Limits) -> Decision:
    """Return the decision of a fresh state."""
    return constrain(ConstrainState.initial(), observation, sizing, limits)[1]


def test_what_is_safe_passes_unchanged() -> None:
    """Within all limits a policy gets what it wants, with its own reason."""
    for replicas in (2, 5, 8):
        assert once(look(5), want(replicas), Limits(1, 10, FREE)) == Decision(
            replicas, "the policy's reason", "ForecastDemand"
        )


@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(0, 5),
    st.integers(0, 10),
    st.none() | st.floats(0, 500),
)
def test_bounds_always_hold(wanted: int, current: int, least: int, more: int, age: float | None) -> None:
    """Whatever is wanted and however stale the metrics, min <= decision <= max."""
    limits = Limits(least, least + more)
    decision = once(look(current, age=age), want(wanted), limits)
    assert least <= decision.replicas <= least + more


@given(st.integers(0, 30), st.integers(1, 20), st.none() | st.floats(61, 1e6))
def test_stale_metrics_never_shrink(wanted: int, current: int, age: float | None) -> None:
    """Missing or stale metrics never take a pod away, and say so; growing stays possible."""
    decision = once(look(current, age=age), want(wanted), Limits(0, 30, FREE))
    assert decision.replicas == max(wanted, current)
    if wanted < current:
        assert (decision.code, decision.limited_by) == ("MetricsStale", "staleMetrics")


def test_a_policy_that_cannot_vouch_does_not_shrink() -> None:
    """A policy's own doubt holds the replicas."""
    assert once(look(5), want(2, hold_down=True), Limits(1, 10, FREE)).replicas == 5


@given(st.integers(0, 19), st.integers(1, 20), st.floats(0, 1.2))
def test_survivors_stand_the_load(wanted: int, current: int, peak: float) -> None:
    """After a shrink the survivors' share of KV, N/(N-k) of the present, stays within the limit."""
    limits = Limits(0, 20, FREE)
    decision = once(look(current, peak=peak), want(min(wanted, current)), limits)
    if decision.replicas < current:
        assert current * peak <= limits.survivor_level * decision.replicas + 1e-9


def test_survivor_check_shrinks_as_far_as_it_can() -> None:
    """Four pods at 40 % may become two at 80 %, not one; at 70 % all four stay."""
    assert once(look(4, peak=0.4), want(1), Limits(1, 10, FREE)).replicas == 2
    held = once(look(4, peak=0.7), want(1), Limits(1, 10, FREE))
    assert (held.replicas, held.code) == (4, "SurvivorsOverloaded")
    assert "93%" in held.reason


def test_waiting_requests_and_silent_pods_hold() -> None:
    """Nobody is taken away while requests wait, or while a ready pod does not report its load."""
    limits = Limits(1, 10, FREE)
    waiting = once(replace(look(4), waiting_requests=3.0), want(1), limits)
    assert (waiting.replicas, waiting.code) == (4, "RequestsWaiting")
    silent = once(replace(look(4), instances=look(3).instances), want(1), limits)
    assert (silent.replicas, silent.code) == (4, "TelemetryIncomplete")


def test_stabilization_takes_the_most_that_was_wanted() -> None:
    """Down: the highest recommendation within the window; and no shrink before one window was seen."""
    limits = Limits(1, 10, Behavior(up=Rules(), down=Rules(stabilization_window_seconds=60)))
    state = ConstrainState.initial()
    state, first = constrain(state, look(5, now=0), want(2), limits)
    assert (first.replicas, first.code) == (5, "ScaleDownStabilized")
    state, _ = constrain(state, look(5, now=30), want(4), limits)
    state, at_60 = constrain(state, look(5, now=61), want(2), limits)
    assert at_60.replicas == 4
    _, at_91 = constrain(state, look(4, now=91), want(2), limits)
    assert at_91.replicas == 2


def test_scale_up_stabilization_takes_the_least() -> None:
    """Up: the lowest recommendation within the window, and never below the current replicas."""
    limits = Limits(1, 10, Behavior(up=Rules(stabilization_window_seconds=60), down=Rules()))
    state = ConstrainState.initial()
    state, _ = constrain(state, look(3, now=0), want(3), limits)
    state, held = constrain(state, look(3, now=30), want(9), limits)
    assert held.replicas == 3
    _, free = constrain(state, look(3, now=61), want(9), limits)
    assert free.replicas == 9


def test_rate_policies_pace_by_the_period() -> None:
    """Growth within a period is counted from its start: four pods or 100 %, whichever is more."""
    limits = Limits(1, 100)
    state = ConstrainState.initial()
    state, first = constrain(state, look(2, now=0), want(50), limits)
    assert (first.replicas, first.code) == (6, "ScaleUpLimited")
    state, within = constrain(state, look(6, now=5), want(50), limits)
    assert within.replicas == 6
    _, later = constrain(state, look(6, now=21), want(50), limits)
    assert later.replicas == 12


def test_rate_policies_pace_downwards() -> None:
    """One pod a minute means one pod a minute, and Disabled means none."""
    slow = Rules(policies=(RatePolicy("Pods", 1, 60),))
    limits = Limits(1, 10, Behavior(up=Rules(), down=slow))
    state = ConstrainState.initial()
    state, first = constrain(state, look(5, now=0), want(1), limits)
    state, within = constrain(state, look(4, now=10), want(1), limits)
    assert (first.replicas, within.replicas) == (4, 4)
    off = Limits(1, 10, Behavior(up=Rules(), down=Rules(select_policy="Disabled")))
    assert once(look(5), want(1), off).replicas == 5


def test_fallback_raises_after_its_time() -> None:
    """Metrics that stay away raise the pool to the fallback after its delay, and never lower it."""
    limits = Limits(1, 10, FREE, fallback_replicas=6, fallback_after_seconds=120)
    state = ConstrainState.initial()
    state, before = constrain(state, look(3, age=None, now=0), want(3), limits)
    state, after = constrain(state, look(3, age=None, now=120), want(3), limits)
    assert (before.replicas, after.replicas, after.code) == (3, 6, "Fallback")
    _, more = constrain(state, look(8, age=None, now=130), want(8), limits)
    assert more.replicas == 8
    _, back = constrain(state, look(6, now=140), want(3), limits)
    assert back.replicas == 3


def test_a_restart_does_not_jump() -> None:
    """A fresh state with the default behaviour keeps the replicas, however few are wanted."""
    assert once(look(9), want(1), Limits(1, 10)).replicas == 9


def test_above_the_maximum_comes_down_at_once() -> None:
    """The user's own maximum needs no metrics."""
    assert once(look(12, age=None), want(12), Limits(1, 10)).replicas == 10


def test_limits_are_checked() -> None:
    """Limits that cannot hold are refused by name."""
    with pytest.raises(ValueError, match="minReplicas is 3 and maxReplicas 2"):
        Limits(3, 2)
    with pytest.raises(ValueError, match="use Pods or Percent"):
        RatePolicy("Pod", 1, 1)  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValueError, match="must be positive"):
        RatePolicy("Pods", 0, 1)
    with pytest.raises(ValueError, match="stabilizationWindowSeconds"):
        Rules(stabilization_window_seconds=-1)
    with pytest.raises(ValueError, match="selectPolicy"):
        Rules(select_policy="Most")  # type: ignore[arg-type]  # the point of the test
