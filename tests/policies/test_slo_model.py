"""Sizing by the engine model: the least pool for the rate, a reserve for rises, holds and reasons."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from presage_policies.engine import RequestShape, replicas_for, sustainable_rates
from presage_policies.forecasting import Forecast, TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile
from presage_policies.scaling import (
    SLO_MODEL_BEHAVIOR,
    ArrivalSignal,
    ConstrainState,
    InstanceSignal,
    Limits,
    Observation,
    SLOModel,
    SLOModelParameters,
    constrain,
)

ENGINE, OBJECTIVES = load_profile("rtx4090-llama-3.1-8b"), Objectives(2.0, 0.08)
COLD = 60.0


class World:
    """Evenly spaced arrivals of 1,000 + 200 tokens at rates that change; a pool that obeys at once."""

    def __init__(self, policy: SLOModel | None = None, replicas: int = 1) -> None:
        self.policy = policy or SLOModel()
        self.state: Any = self.policy.initial()
        self.now, self.replicas = 0.0, replicas
        self._counts: list[float] = []

    def run(self, rate: float, seconds: int, **more: Any) -> list[tuple[int, str]]:
        """Go on at a rate; return replicas and code of every decision, 5 s apart."""
        decisions = []
        for _ in range(seconds // 5):
            self._counts += [rate] * 5
            self.now += 5.0
            self.state, sizing = self.policy.size(self.state, self.look(**more))
            self.replicas = max(1, sizing.replicas)
            decisions.append((sizing.replicas, sizing.code))
            self.reason = sizing.reason
        return decisions

    def look(self, **more: Any) -> Observation:
        """Return what is seen now."""
        counts = np.array(self._counts[-120:])
        pods = tuple(
            InstanceSignal(f"pod{i}", ready=True, projected_peak=0.2, kv_usage=0.2, requests=1.0)
            for i in range(self.replicas)
        )
        return replace(
            Observation(
                self.now,
                TokenSeries.empty(600.0, 0.0),
                None,
                self.replicas,
                self.replicas,
                pods,
                waiting_requests=0.0,
                metrics_age_seconds=1.0,
                cold_start_seconds=COLD,
                interval_seconds=5.0,
                engine=ENGINE,
                objectives=OBJECTIVES,
                arrivals=ArrivalSignal(1.0, counts, 1000 * counts, 200 * counts),
            ),
            **more,
        )


def steady(rate: float, dispersion: float = 0.0) -> int:
    """Return what a constant rate of equal requests needs."""
    shape = RequestShape(1000, 200, prompt_variation=0.0, dispersion=dispersion)
    replicas = replicas_for(ENGINE, rate, shape, OBJECTIVES)
    assert replicas is not None
    return replicas


def test_a_constant_rate_gets_what_the_model_says() -> None:
    """After a while at a constant rate the pool is the least that holds the objectives there."""
    world = World()
    assert world.run(20.0, 900)[-1] == (steady(20.0), "MeasuredDemand")


def test_a_step_is_answered_within_seconds() -> None:
    """Ten seconds after a doubling the pool that it needs is asked for."""
    world = World()
    world.run(8.0, 600)
    decisions = world.run(16.0, 10)
    assert decisions[-1][0] >= steady(16.0)


def test_a_rise_that_was_seen_is_provided_for() -> None:
    """After one step up, the pool is larger than the rate alone needs, and says why."""
    world = World()
    world.run(8.0, 600)
    replicas, code = world.run(16.0, 600)[-1]
    assert replicas > steady(16.0)
    assert code == "ReserveForRise"
    assert "a rise as was seen" in world.reason
    bare = World(SLOModel(SLOModelParameters(reserve=False)))
    bare.run(8.0, 600)
    assert bare.run(16.0, 600)[-1][0] == steady(16.0)


def test_chance_is_held_against_and_a_fall_is_not() -> None:
    """What a rise needed is let go soon after a fall is seen, long before a cold start has passed."""
    world = World(SLOModel(SLOModelParameters(reserve=False)))
    world.run(30.0, 600)
    decisions = world.run(5.0, 60)
    assert decisions[1][0] == steady(30.0)
    assert decisions[-1][0] == steady(5.0)


def test_what_comes_and_goes_is_held() -> None:
    """After a rise as large as the fall was seen, the pods stay for a cold start: demand may be back."""
    world = World(SLOModel(SLOModelParameters(reserve=False)))
    world.run(5.0, 300)
    world.run(30.0, 300)
    assert world.run(5.0, 40)[-1][0] == steady(30.0)
    assert world.run(5.0, 60)[-1][0] == steady(5.0)


def test_pooling_needs_fewer_than_one_at_a_time() -> None:
    """One instance's percentile times N asks for more than the pool's own percentile."""
    one = sustainable_rates(ENGINE, 1000, 200, OBJECTIVES).output / 200
    pooled, single = World(), World(SLOModel(SLOModelParameters(pooled=False)))
    assert pooled.run(12 * one, 300)[-1][0] < single.run(12 * one, 300)[-1][0]


def test_what_is_in_flight_is_held() -> None:
    """More in flight than the rate explains (longer answers than predicted) gets room."""
    world = World()
    calm = world.run(4.0, 300)[-1][0]
    replicas, code = world.run(4.0, 5, inflight_requests=400.0)[-1]
    assert replicas > calm
    assert code == "InFlight"


def test_a_forecast_is_used_only_when_it_has_earned_it() -> None:
    """Three times the load foretold for ever is never believed; the rate sizes."""
    world, rows = World(), np.full((1, 200), 3.0)
    lie = Forecast("liar", 0.0, 600.0, (0.9,), 20_000 * rows, 4_000 * rows)
    assert world.run(20.0, 1800, forecast=lie)[-1][0] == steady(20.0)
    assert "liar" not in world.reason


def test_a_true_forecast_replaces_the_reserve() -> None:
    """Steps that were foretold are provided for ahead, and leave nothing to be surprised at."""
    levels = np.array([8.0, 16.0] * 20)
    told = Forecast("seer", 0.0, 300.0, (0.9,), 1000 * levels[None, :], 200 * levels[None, :])
    world = World()
    for level in levels[:20]:
        before = world.run(float(level), 300, forecast=told)
    low = world.run(8.0, 200, forecast=told)
    ahead = world.run(8.0, 100, forecast=told)
    assert before[-1][0] == steady(16.0)
    assert min(replicas for replicas, _ in low) == steady(8.0)
    assert ahead[-1][0] == steady(16.0)
    assert "foretold by seer" in world.reason


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"engine": None}, "CapacityUnknown"),
        ({"objectives": None}, "CapacityUnknown"),
        ({"arrivals": None}, "DemandUnknown"),
        ({"mean_prompt_tokens": 1e9, "mean_output_tokens": 1e9, "arrivals": None}, "DemandUnknown"),
    ],
)
def test_unknowns_hold(change: dict[str, Any], code: str) -> None:
    """What is not known is held at the current replicas, and vouches for no fewer."""
    world = World(replicas=5)
    world.run(4.0, 60)
    world.replicas = 5
    _, sizing = world.policy.size(world.policy.initial(), world.look(**change))
    assert (sizing.replicas, sizing.code, sizing.hold_down) == (5, code, True)


def test_without_arrivals_the_series_serves() -> None:
    """Where nobody counts by the second, the last window's token rates size."""
    world = World()
    series = TokenSeries.of(600.0, 0.0, [20_000.0], [4_000.0])
    world.run(4.0, 5)
    look = world.look(arrivals=None, series=series, mean_prompt_tokens=1000.0, mean_output_tokens=200.0)
    _, sizing = world.policy.size(world.policy.initial(), look)
    assert sizing.figures["requestsPerSecond"] == pytest.approx(20.0)


def test_stale_metrics_never_shrink() -> None:
    """Whatever it wants, metrics that are old keep the pods."""
    world = World(replicas=9)
    world.run(2.0, 300)
    world.replicas = 9
    look = world.look(metrics_age_seconds=120.0)
    _, sizing = world.policy.size(world.state, look)
    limits = Limits(1, 10, SLO_MODEL_BEHAVIOR)
    assert sizing.replicas < 9
    assert constrain(ConstrainState.initial(), look, sizing, limits)[1].replicas == 9


def test_parameters_are_checked() -> None:
    """A quantile of one and a negative hold are refused by name."""
    with pytest.raises(ValueError, match="forecast quantile"):
        SLOModelParameters(level=1.0)
    with pytest.raises(ValueError, match="hold_seconds"):
        SLOModelParameters(hold_seconds=-1.0)


def bursty(world: World, cycles: int, silence: int = 110, burst: int = 10) -> list[tuple[int, str]]:
    """Let silences of 0.2 requests/s alternate with bursts that are far shorter than a cold start."""
    decisions = []
    for _ in range(cycles):
        decisions += world.run(0.2, silence)
        decisions += world.run(60.0, burst)
    return decisions


def test_bursts_shorter_than_a_cold_start_are_provided_for() -> None:
    """After some bursts the pods for the next stand throughout the silence before it."""
    world = World()
    bursty(world, 8)
    silence = [replicas for replicas, _ in world.run(0.2, 110)]
    assert min(silence) >= 2 * steady(6.0)
    assert "bursts as were seen" in world.reason


def test_an_even_load_has_no_bursts() -> None:
    """Neither a constant rate nor a lasting step leaves anything to keep for bursts."""
    world = World()
    world.run(8.0, 600)
    world.run(16.0, 900)
    assert not world.state.bursts.recur(OBJECTIVES.percentile)


def test_no_pod_is_given_up_before_it_was_ready() -> None:
    """What came too late is still wanted when it is ready, a cold start after the need has passed."""
    world = World(SLOModel(SLOModelParameters(reserve=False)))
    world.run(8.0, 300, inflight_requests=20.0)
    late = world.run(8.0, 5, inflight_requests=900.0, ready=1)[-1][0]
    assert late > steady(8.0)
    after = world.run(8.0, int(COLD) + 40, inflight_requests=20.0)
    assert {replicas for replicas, _ in after} == {late}


def missing(replicas: int, met: float) -> tuple[InstanceSignal, ...]:
    """Return pods that finished 100 requests each in the last minute, that share of them in time."""
    return tuple(
        InstanceSignal(
            f"pod{i}", ready=True, projected_peak=0.2, kv_usage=0.2, requests=1.0, finished=100.0, slo_met=met
        )
        for i in range(replicas)
    )


def test_a_model_that_promises_too_much_is_corrected() -> None:
    """Objectives missed by a pool that the model finds large enough raise the load that it is asked about."""
    world, enough = World(), steady(20.0)
    world.run(20.0, 600, instances=missing(enough, 1.0), ready=enough)
    assert world.state.misses.factor == pytest.approx(1.0)
    world.run(20.0, 600, instances=missing(enough, 0.8), ready=20)
    assert world.state.misses.factor > 1.3
    raised = world.run(20.0, 600, instances=missing(enough, 1.0), ready=20)[-1][0]
    assert raised > enough


def test_a_shortage_is_not_the_models_error() -> None:
    """Misses of a pool that is smaller than was asked for correct nothing."""
    world = World()
    world.run(20.0, 600, instances=missing(1, 0.5), ready=1)
    assert world.state.misses.factor == pytest.approx(1.0)


def test_a_pool_that_misses_is_not_shrunk() -> None:
    """While more miss than the percentile forgives, the pods that are ready stay, and so it is said."""
    world = World()
    world.run(2.0, 300)
    replicas, code = world.run(2.0, 5, instances=missing(9, 0.9), ready=9)[-1]
    assert (replicas, code) == (9, "ObjectivesMissed")
    assert "missed the objectives with 9" in world.reason


def test_nothing_is_given_up_before_a_lead_time_was_seen() -> None:
    """A policy that has just begun, or lost its memory, cannot vouch for fewer."""
    world = World(replicas=6)
    world.run(2.0, 30)
    _, early = world.policy.size(world.state, world.look())
    world.run(2.0, 120)
    _, later = world.policy.size(world.state, world.look())
    assert early.hold_down
    assert not later.hold_down
