"""Whatever is missing, undefined or stale, every policy decides within bounds and errs to the safe side."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.forecasting import Forecast, TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile
from presage_policies.scaling import (
    SCALING_POLICIES,
    ArrivalSignal,
    Behavior,
    ConstrainState,
    InstanceSignal,
    LatencySignal,
    Limits,
    Observation,
    Rules,
    constrain,
)

ENGINE = load_profile("rtx4090-llama-3.1-8b")
FREE = Behavior(up=Rules(), down=Rules())
undefined = st.sampled_from([None, math.nan, math.inf, -math.inf])
share = st.floats(0, 1.5) | undefined
count = st.floats(0, 1e6) | undefined
rate = st.floats(0, 1e5) | st.just(math.nan)
signals = st.builds(
    InstanceSignal,
    name=st.sampled_from(["a", "b", "c", "d"]),
    ready=st.booleans(),
    overload=share,
    projected_peak=share,
    kv_usage=share,
    requests=count,
    prompt_rate=count,
    output_rate=count,
    slo_met=share,
    finished=count,
)


latencies = st.builds(
    LatencySignal,
    window_seconds=st.just(60.0),
    ttft_p90=share,
    tpot_p90=share,
    predicted_ttft_p90=share,
    predicted_tpot_p90=share,
)


@st.composite
def arrivals(draw: st.DrawFn) -> ArrivalSignal:
    """Draw the arrivals of up to two minutes, possibly none at all."""
    counts = np.array(draw(st.lists(st.integers(0, 40), max_size=120)), dtype=float)
    return ArrivalSignal(draw(st.sampled_from([1.0, 5.0])), counts, 1000 * counts, 200 * counts)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    """Draw an observation in which anything may be missing or undefined."""
    windows = draw(st.integers(0, 4))
    rates = [draw(st.lists(rate, min_size=windows, max_size=windows)) for _ in range(2)]
    ahead = None
    if draw(st.booleans()):
        row = TokenSeries.of(10.0, 0.0, [draw(rate)], [draw(rate)])
        ahead = Forecast("drawn", 0.0, 10.0, (0.5,), row.prompt[None, :], row.output[None, :])
    return Observation(
        now=draw(st.floats(0, 1e4)),
        series=TokenSeries.of(10.0, 0.0, *rates),
        forecast=ahead,
        current=draw(st.integers(0, 12)),
        ready=draw(st.integers(0, 12)),
        instances=tuple(draw(st.lists(signals, max_size=4))),
        waiting_requests=draw(count),
        metrics_age_seconds=draw(st.floats(0, 1e4) | undefined),
        mean_prompt_tokens=draw(count),
        mean_output_tokens=draw(count),
        engine=draw(st.none() | st.just(ENGINE)),
        objectives=draw(st.none() | st.just(Objectives(2.0, 0.08))),
        arrivals=draw(st.none() | arrivals()),
        latency=draw(st.none() | latencies),
        inflight_requests=draw(count),
    )


@pytest.mark.parametrize("policy", sorted(SCALING_POLICIES))
@settings(max_examples=30, deadline=None)
@given(looks=st.lists(observations(), min_size=1, max_size=4))
def test_any_observation_gives_a_decision_within_bounds(policy: str, looks: list[Observation]) -> None:
    """No combination of missing and undefined figures raises or breaks min and max; each says why."""
    law, limits = SCALING_POLICIES[policy](), Limits(1, 10, FREE)
    state: Any = law.initial()
    constrained = ConstrainState.initial()
    for look in looks:
        state, sizing = law.size(state, look)
        constrained, decision = constrain(constrained, look, sizing, limits)
        assert 1 <= decision.replicas <= 10
        assert decision.reason
        assert decision.code.isidentifier()
        assert decision.code[0].isupper()


@pytest.mark.parametrize("policy", sorted(SCALING_POLICIES))
@settings(max_examples=30, deadline=None)
@given(look=observations())
def test_without_metrics_nothing_shrinks(policy: str, look: Observation) -> None:
    """With metrics absent or undefined, no policy takes a pod away."""
    blind = replace(look, metrics_age_seconds=math.nan, current=min(look.current, 10))
    law = SCALING_POLICIES[policy]()
    _, sizing = law.size(law.initial(), blind)
    _, decision = constrain(ConstrainState.initial(), blind, sizing, Limits(1, 10, FREE))
    assert decision.replicas >= blind.current


def test_undefined_is_absent_not_zero() -> None:
    """NaN and infinity become None wherever a figure was measured; zero stays zero."""
    signal = InstanceSignal("a", ready=True, kv_usage=math.nan, overload=math.inf, projected_peak=0.0)
    assert (signal.kv_usage, signal.overload, signal.projected_peak) == (None, None, 0.0)
