"""The planners that forecast by the interval: Dynamo's floor and steps, SageServe's hourly plan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.forecasting import TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile
from presage_policies.scaling import (
    ArrivalSignal,
    Dynamo,
    DynamoParameters,
    InstanceSignal,
    LatencySignal,
    Observation,
    SageServe,
    SageServeParameters,
    modelled_rates,
)
from presage_policies.scaling.autoregression import next_value
from presage_policies.scaling.dynamo import profiled_rate

ENGINE, OBJECTIVES = load_profile("rtx4090-llama-3.1-8b"), Objectives(2.0, 0.08)


def look(rate: float, now: float, pods: int = 2, share: float = 0.9, use: float = 0.5) -> Observation:
    """Return a pool that gets `rate` requests/s, with latencies at that share of their objectives."""
    requests = np.full(120, rate)
    return Observation(
        now,
        TokenSeries.of(600.0, now, [1000 * rate] * 12, [200 * rate] * 12),
        None,
        pods,
        pods,
        tuple(InstanceSignal(f"pod{i}", ready=True, kv_usage=use) for i in range(pods)),
        metrics_age_seconds=1.0,
        mean_prompt_tokens=1000.0,
        mean_output_tokens=200.0,
        engine=ENGINE,
        objectives=OBJECTIVES,
        arrivals=ArrivalSignal(1.0, requests, 1000 * requests, 200 * requests),
        latency=LatencySignal(60.0, 2.0 * share, 0.08 * share),
    )


def test_a_trend_is_continued() -> None:
    """A rise by the same step each time is forecast to rise once more, a constant to stay."""
    assert next_value([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(7.0, abs=0.01)
    assert next_value([4.0] * 8, order=2) == pytest.approx(4.0)
    assert next_value([3.0]) == pytest.approx(3.0)
    assert next_value([]) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), st.integers(1, 3))
def test_a_forecast_is_never_negative(history: list[float], order: int) -> None:
    """Whatever came before, demand is forecast as zero or more, and as a number."""
    forecast = next_value(history, order)
    assert forecast is not None
    assert forecast >= 0


def test_dynamo_floor_covers_the_forecast() -> None:
    """After an interval at a constant rate the floor is that rate over the profiled one, rounded up."""
    law, served = Dynamo(), profiled_rate(ENGINE, 1000, 200, OBJECTIVES)
    state = law.initial()
    for now in range(0, 181, 5):
        state, sizing = law.size(state, look(3.5 * served, float(now)))
    assert state.floor == 4
    assert (sizing.replicas, sizing.code) == (4, "FloorForecast")


@pytest.mark.parametrize(("share", "expected"), [(1.1, 4), (0.9, 3), (0.5, 2), (0.6, 3)])
def test_dynamo_steps_by_one(share: float, expected: int) -> None:
    """Above target one more; one fewer only when that one would leave latencies below 80 % of target."""
    law = Dynamo()
    assert law.size(law.initial(), look(1.0, 0.0, pods=3, share=share))[1].replicas == expected


def test_dynamo_does_not_step_while_pods_come() -> None:
    """A step whose pod is not ready yet is not repeated."""
    law = Dynamo()
    late = look(1.0, 0.0, pods=3, share=2.0)
    coming = Observation(**{name: getattr(late, name) for name in late.__slots__} | {"ready": 2})
    assert law.size(law.initial(), coming)[1].replicas == 3


def test_sageserve_plans_the_hour_and_steps_within_it() -> None:
    """The plan is the ceiling of forecast over capacity; high KV use adds one, once a hold."""
    law = SageServe()
    rates = modelled_rates(look(1.0, 0.0))
    assert rates is not None
    rate = 2.5 * rates.output / 200
    state, planned = law.size(law.initial(), look(rate, 0.0, pods=3))
    state, hot = law.size(state, look(rate, 60.0, pods=3, use=0.8))
    state, held = law.size(state, look(rate, 90.0, pods=4, use=0.8))
    _, again = law.size(state, look(rate, 120.0, pods=4, use=0.8))
    assert [planned.replicas, hot.replicas, held.replicas, again.replicas] == [3, 4, 4, 5]
    assert planned.code == "HourlyPlan"


def test_sageserve_plans_once_an_hour() -> None:
    """Load that changes within the hour moves steps, not the plan."""
    law = SageServe()
    rates = modelled_rates(look(1.0, 0.0))
    assert rates is not None
    one = rates.output / 200
    state, _ = law.size(law.initial(), look(1.5 * one, 0.0))
    state, within = law.size(state, look(6.5 * one, 3599.0))
    _, after = law.size(state, look(6.5 * one, 3600.0))
    assert (within.replicas, after.replicas) == (2, 7)


def test_parameters_are_checked() -> None:
    """Intervals and thresholds that make no sense are refused."""
    with pytest.raises(ValueError, match="0 < load <= floor"):
        DynamoParameters(load_seconds=200.0)
    with pytest.raises(ValueError, match="sensitivity"):
        DynamoParameters(sensitivity=0.0)
    with pytest.raises(ValueError, match="down < up"):
        SageServeParameters(up=0.2)
