"""PreServe's scaler: pods ahead of the forecast, one more per overload, fewer only when all is quiet."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.engine import sustainable_rates
from presage_policies.forecasting import Forecast, TokenRates, TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile
from presage_policies.scaling import (
    PUBLISHED,
    CapacityProfile,
    InstanceSignal,
    Observation,
    PreServe,
    PreServeParameters,
    PreServeState,
    modelled_rates,
)

WINDOW = 600.0
ENGINE = load_profile("rtx4090-llama-3.1-8b")
OBJECTIVES = Objectives(2.0, 0.08)
ONE = sustainable_rates(ENGINE, 1000, 200, OBJECTIVES)  # what one instance stands


def forecast(*instances: float) -> Forecast:
    """Return a forecast of so many instances' worth of load in each coming window, at every level."""
    rows = np.array([instances, instances])
    return Forecast("test", 0.0, WINDOW, (0.5, 0.99), ONE.prompt * rows, ONE.output * rows)


def pod(name: str, peak: float | None = 0.1, overload: float | None = 0.0) -> InstanceSignal:
    """Return a ready pod's signal."""
    return InstanceSignal(name, ready=True, overload=overload, projected_peak=peak, kv_usage=peak)


def look(current: int, *, now: float = 0.0, level: float = 0.0, ahead: Forecast | None = None) -> Observation:
    """Return an observation of so many quiet pods under so many instances' worth of measured load."""
    return Observation(
        now=now,
        series=TokenSeries.of(WINDOW, now, [ONE.prompt * level] * 3, [ONE.output * level] * 3),
        forecast=ahead,
        current=current,
        ready=current,
        instances=tuple(pod(f"pod{i}") for i in range(current)),
        metrics_age_seconds=1.0,
        cold_start_seconds=100.0,
        interval_seconds=15.0,
        mean_prompt_tokens=1000.0,
        mean_output_tokens=200.0,
        engine=ENGINE,
        objectives=OBJECTIVES,
    )


def quiet_for_a_window(policy: PreServe) -> PreServeState:
    """Return a state whose last scale-down is more than a window before time 0."""
    state, _ = policy.size(policy.initial(), look(4, now=-2 * WINDOW, level=1.0))
    return state


@given(st.floats(0.0, 20.0))
def test_replicas_are_the_papers_ceiling(needed: float) -> None:
    """N = ⌈max(P/μp, D/μd, (P+D)/μt)⌉ of the forecast over the horizon, when that is more than now."""
    policy = PreServe()
    _, sizing = policy.size(policy.initial(), look(0, ahead=forecast(needed)))
    assert needed - 1e-6 <= sizing.replicas < needed + 1


def test_the_horizon_reaches_past_the_cold_start() -> None:
    """A rise that begins within cold start plus one interval is provided for now; a later one is not yet."""
    policy = PreServe()
    soon = replace(look(1, now=WINDOW - 114.0, ahead=forecast(1.0, 3.0)))
    late = replace(look(1, now=WINDOW - 116.0, ahead=forecast(1.0, 3.0)))
    assert policy.size(policy.initial(), soon)[1].replicas == 3
    assert policy.size(policy.initial(), late)[1].replicas == 1


def test_never_less_than_the_measured_level() -> None:
    """A forecast below what is measured now does not shrink below the measured level."""
    policy = PreServe()
    _, sizing = policy.size(policy.initial(), look(1, level=2.5, ahead=forecast(0.5)))
    assert sizing.replicas == 3
    assert sizing.code == "MeasuredDemand"


def test_the_quantile_is_provided_for() -> None:
    """Demand is taken at the configured quantile of the forecast."""
    rows = np.array([[1.0], [4.0]])
    spread = Forecast("test", 0.0, WINDOW, (0.5, 0.9), ONE.prompt * rows, ONE.output * rows)
    for level, expected in ((0.5, 1), (0.9, 4)):
        policy = PreServe(PreServeParameters(level=level))
        assert policy.size(policy.initial(), look(0, ahead=spread))[1].replicas == expected


def test_without_a_forecast_the_level_serves() -> None:
    """No forecast is no reason to stop: the measured level sizes, and says so."""
    policy = PreServe()
    _, sizing = policy.size(policy.initial(), look(1, level=3.0))
    assert sizing.replicas == 3
    assert "no forecast" in sizing.reason
    broken = forecast(float("nan"))
    assert policy.size(policy.initial(), look(1, level=3.0, ahead=broken))[1].replicas == 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"engine": None}, "CapacityUnknown"),
        ({"mean_prompt_tokens": None}, "CapacityUnknown"),
        ({"series": TokenSeries.empty(WINDOW, 0.0)}, "DemandUnknown"),
    ],
)
def test_unknowns_hold(change: dict[str, object], code: str) -> None:
    """What is not known is held at the current replicas, with a reason, and vouches for no fewer."""
    policy = PreServe()
    _, sizing = policy.size(policy.initial(), replace(look(5), **change))  # type: ignore[arg-type]  # fields by name
    assert (sizing.replicas, sizing.code, sizing.hold_down) == (5, code, True)


def test_overload_adds_once_an_episode() -> None:
    """Each newly overloaded instance adds one, once; it adds again only after it has recovered."""
    policy = PreServe()
    state = policy.initial()
    calm = look(2, level=1.5)
    hot = replace(calm, instances=(pod("pod0", 0.99, 0.2), pod("pod1", 0.5)))
    state, first = policy.size(state, hot)
    grown = replace(hot, current=3, ready=3, instances=(*hot.instances, pod("pod2")))
    state, second = policy.size(state, grown)
    assert (first.replicas, first.code) == (3, "OverloadAnticipated")
    assert second.replicas == 3
    state, _ = policy.size(state, replace(calm, current=3, ready=3))
    _, again = policy.size(state, grown)
    assert again.replicas == 4


def test_pods_that_are_coming_are_counted_against_overload() -> None:
    """An overload that a pending pod will relieve adds nothing on top."""
    policy = PreServe()
    hot = replace(look(3, level=1.5), ready=2, instances=(pod("pod0", 0.99, 0.2), pod("pod1")))
    _, sizing = policy.size(policy.initial(), hot)
    assert sizing.replicas == 3


def test_ten_per_cent_is_not_overload() -> None:
    """The paper's bound is exceeded, not met: a tenth of the slots above 0.95 adds nothing."""
    policy = PreServe()
    edge = replace(look(2, level=1.5), instances=(pod("pod0", 0.99, 0.10), pod("pod1")))
    assert policy.size(policy.initial(), edge)[1].replicas == 2


def test_shrinks_by_the_papers_rule() -> None:
    """With every max U below 0.30 it isolates N - Σ max(U)/0.30, not below what demand needs."""
    policy = PreServe()
    quiet = replace(look(4, level=0.5), instances=tuple(pod(f"pod{i}", 0.15) for i in range(4)))
    _, sizing = policy.size(quiet_for_a_window(policy), quiet)
    assert sizing.replicas == 2  # 4 - 4·0.15/0.30
    _, floor = policy.size(quiet_for_a_window(policy), look(4, level=2.5))
    assert floor.replicas == 3


def test_one_busy_instance_holds_all() -> None:
    """A single instance that anticipates 30 % or more holds every scale-down."""
    policy = PreServe()
    busy = replace(
        look(4, level=0.5), instances=(*(pod(f"pod{i}", 0.0) for i in range(3)), pod("pod3", 0.30))
    )
    _, sizing = policy.size(quiet_for_a_window(policy), busy)
    assert (sizing.replicas, sizing.code) == (4, "LoadTooHighToShrink")


def test_shrinks_at_most_once_a_window() -> None:
    """After replicas fell, by whatever hand, nothing shrinks for a window; neither after a restart."""
    policy = PreServe()
    state, first = policy.size(policy.initial(), look(4, now=0.0, level=0.5))
    assert (first.replicas, first.code) == (4, "WindowNotOver")
    state, _ = policy.size(state, look(3, now=WINDOW, level=0.5))
    _, held = policy.size(state, look(3, now=2 * WINDOW - 1, level=0.5))
    _, free = policy.size(state, look(3, now=2 * WINDOW, level=0.5))
    assert held.replicas == 3
    assert free.replicas < 3


def test_missing_telemetry_holds_scale_down() -> None:
    """A ready pod that reports nothing is not an idle one."""
    policy = PreServe()
    silent = replace(look(4, level=0.5), instances=tuple(pod(f"pod{i}") for i in range(3)))
    _, sizing = policy.size(quiet_for_a_window(policy), silent)
    assert (sizing.replicas, sizing.code, sizing.hold_down) == (4, "TelemetryIncomplete", True)


def test_capacity_learns_only_from_good_windows() -> None:
    """μ grows with a window whose requests met their objectives, less the chance of a short window."""
    good = InstanceSignal("a", ready=True, prompt_rate=9e4, output_rate=1e4, slo_met=1.0, finished=800)
    learned = CapacityProfile().learned((good,), OBJECTIVES)
    assert learned.total == pytest.approx(0.9 * 1e5)
    for change in ({"slo_met": 0.98}, {"slo_met": None}, {"finished": 5}, {"finished": None}):
        assert CapacityProfile().learned((replace(good, **change),), OBJECTIVES).total <= 0  # type: ignore[arg-type]  # fields by name
    seeded = learned.at_least(TokenRates(1e9, 1.0))
    assert (seeded.prompt, seeded.output) == (1e9, learned.output)


def test_unreachable_objectives_size_on_throughput() -> None:
    """Objectives that a lone request misses do not stop sizing: throughput bounds the rates instead."""
    hopeless = replace(look(1), objectives=Objectives(0.001, 0.001))
    rates = modelled_rates(hopeless)
    assert rates is not None
    assert rates.total >= ONE.total


def test_as_published_the_point_forecast_alone_sizes() -> None:
    """The paper's policy takes the median and nothing else: no floor at the level, no check of survivors."""
    policy = PreServe(PUBLISHED)
    _, sizing = policy.size(policy.initial(), look(1, level=5.0, ahead=forecast(1.5)))
    assert (sizing.replicas, sizing.unguarded) == (2, True)
    assert not PreServe().size(PreServeState(), look(1, level=5.0))[1].unguarded


def test_as_published_capacity_is_what_was_seen() -> None:
    """The largest rate of a window in which every request met its objectives, without margin or model."""
    good = InstanceSignal("a", ready=True, prompt_rate=10.0, output_rate=5.0, slo_met=1.0, finished=50)
    learned = CapacityProfile().learned((good,), OBJECTIVES, as_published=True)
    assert (learned.prompt, learned.output, learned.total) == (10.0, 5.0, 15.0)
    most = replace(good, slo_met=0.995)
    assert CapacityProfile().learned((most,), OBJECTIVES, as_published=True).total <= 0
    policy, small = PreServe(PUBLISHED), replace(look(1, ahead=forecast(1.0)), instances=(good,))
    assert policy.size(policy.initial(), small)[1].replicas == pytest.approx(ONE.total / 15.0, rel=0.5)


def test_reasons_carry_figures() -> None:
    """Each decision says in words and figures what it is based on."""
    policy = PreServe()
    _, sizing = policy.size(policy.initial(), look(1, ahead=forecast(2.5)))
    assert "2.50 instances" in sizing.reason
    assert "forecast by test" in sizing.reason
    assert sizing.figures["instancesNeeded"] == pytest.approx(2.5)
    assert sizing.code == "ForecastDemand"


@pytest.mark.parametrize("bad", [{"level": 1.0}, {"shrink_below": 0.0}, {"level_windows": 0}])
def test_parameters_are_checked(bad: dict[str, float]) -> None:
    """Parameters that make no sense are refused by name."""
    with pytest.raises(ValueError, match=next(iter(bad)) if "level" not in bad else "quantile"):
        PreServeParameters(**bad)  # type: ignore[arg-type]  # fields by name
