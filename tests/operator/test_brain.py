"""Decisions on looks at a made-up world: what is safe, what is respected, what is said."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_crds import ConditionType, LLMService
from presage_operator.brain import Brain, Foretold, Verdict, horizon_seconds, limits_of
from presage_operator.endpoints import Endpoints
from presage_operator.findings import findings
from presage_operator.observe import Load, Trouble, World
from presage_operator.pods import Pod
from presage_operator.profiles import UnknownProfileError, profile_of
from presage_operator.prometheus import Sample
from presage_operator.signals import PodSignals, pod_signals, waiting_requests
from presage_operator.targets import Target
from presage_policies.forecasting import Forecast, TokenSeries

NOW = 1_800_000_000.0
Make = Callable[..., dict[str, Any]]


def pods(ready: int, coming: int = 0) -> tuple[Pod, ...]:
    """Return pods of which so many are ready."""
    there = [Pod(f"r{i}", f"r{i}", NOW - 900, NOW - 800, terminating=False, restarts=0) for i in range(ready)]
    new = [Pod(f"n{i}", f"n{i}", NOW - 10, None, terminating=False, restarts=0) for i in range(coming)]
    return (*there, *new)


def world(replicas: int, rate: float, ready: int | None = None, age: float = 1.0, **load: Any) -> World:
    """Return a look at `replicas` pods that serve `rate` prompt tokens per second in all, quietly."""
    ready = replicas if ready is None else ready
    quiet = PodSignals(kv_usage=0.02, overload=0.0, peak=0.02, requests=1.0, waiting=0.0)
    rates = np.full(12, rate)
    return World(
        now=NOW,
        target=Target("/scale", replicas, "app=chat", "1"),
        pods=pods(ready, replicas - ready),
        endpoints=Endpoints(known=replicas, ready=ready),
        load=replace(
            Load(
                series=TokenSeries(600.0, NOW - 5, rates, rates / 5),
                newest_sample=NOW - age,
                pods={f"r{i}": quiet for i in range(ready)},
                mean_prompt_tokens=1000.0,
                mean_output_tokens=200.0,
            ),
            **load,
        ),
    )


def forecast(rate: float) -> Forecast:
    """Return a flat forecast."""
    flat = np.full((3, 4), rate)
    return Forecast("SeasonalLevel", NOW - 5, 600.0, (0.5, 0.9, 0.95), flat, flat / 5)


def think(
    service: LLMService, look: World, brain: Brain | None = None, ahead: float | None = None
) -> Verdict:
    """Decide once."""
    foretold = Foretold(None if ahead is None else forecast(ahead), 100.0)
    return (brain or Brain()).think(service, profile_of(service), look, foretold)


def decided(verdict: Verdict) -> int:
    """Return the replicas of a decision that must be there."""
    assert verdict.decision is not None
    return verdict.decision.replicas


@pytest.fixture
def eager(service_object: Make) -> LLMService:
    """Give a service whose scale-down waits for no stabilization."""
    return LLMService.from_object(service_object(behavior={"scaleDown": {"stabilizationWindowSeconds": 0}}))


def test_a_forecast_above_the_present_load_adds_pods_before_it_comes(eager: LLMService) -> None:
    """With little load now and much foretold, pods are asked for now, and the reason names the model."""
    calm = decided(think(eager, world(2, 500.0), ahead=500.0))
    verdict = think(eager, world(2, 500.0), ahead=20_000.0)
    assert calm == 2
    assert decided(verdict) > 2
    assert verdict.decision is not None
    assert "SeasonalLevel" in verdict.decision.reason


@given(
    st.integers(2, 8),
    st.floats(0, 50_000),
    st.sampled_from(["unreachable", "absent", "stale", "silent pod"]),
    st.booleans(),
)
def test_nothing_shrinks_without_fresh_and_complete_metrics(
    replicas: int, rate: float, trouble: str, hpa: bool
) -> None:
    """Whatever load, policy and memory say, missing, stale or partial metrics never take pods away."""
    service = LLMService.from_object(_object(hpa))
    broken = {
        "unreachable": {"trouble": Trouble("PrometheusUnreachable", "no answer"), "pods": {}},
        "absent": {"newest_sample": None, "pods": {}},
        "stale": {"newest_sample": NOW - 61},
        "silent pod": {"pods": {f"r{i}": PodSignals(peak=0.0, kv_usage=0.0) for i in range(1, replicas)}},
    }[trouble]
    brain = Brain()
    for step in range(5):  # long after any start-up caution
        look = replace(world(replicas, rate), now=NOW + 700 * step)
        load = replace(look.load, newest_sample=look.now - 1)
        load = replace(load, **{**broken, **({"newest_sample": look.now - 61} if trouble == "stale" else {})})
        assert decided(think(service, replace(look, load=load), brain)) >= replicas


def _object(hpa: bool) -> dict[str, Any]:
    return {
        "apiVersion": "presage.dev/v1alpha1",
        "kind": "LLMService",
        "metadata": {"name": "chat", "namespace": "prod"},
        "spec": {
            "model": "llama",
            "pools": [{"name": "main", "scaleTargetRef": {"name": "chat"}, "maxReplicas": 8}],
            "scaling": {
                "policy": "HPA" if hpa else "PreServe",
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            },
            "metrics": {"prometheus": {"address": "http://prometheus:9090"}},
        },
    }


def test_a_quiet_service_shrinks_once_it_has_been_watched(eager: LLMService) -> None:
    """The same world with fresh metrics does shrink: the tests above hold for the right reason."""
    brain = Brain()
    first = think(eager, world(6, 100.0), brain)
    later = replace(world(6, 100.0), now=NOW + 700)
    later = replace(later, load=replace(later.load, newest_sample=NOW + 699))
    assert decided(first) == 6
    assert decided(think(eager, later, brain)) < 6


@given(st.integers(2, 8), st.floats(0, 100_000))
def test_a_restart_does_not_jump_down(replicas: int, rate: float) -> None:
    """A brain without any memory never takes pods away at its first look, however quiet it is."""
    service = LLMService.from_object(_object(hpa=False))
    assert decided(think(service, world(replicas, rate), Brain())) >= replicas


@given(st.integers(0, 20), st.integers(0, 12), st.floats(0, 1e6))
def test_every_decision_is_within_the_bounds(pin: int, replicas: int, rate: float) -> None:
    """Neither load, nor a pin, nor what is there moves a decision beyond minReplicas and maxReplicas."""
    raw = _object(hpa=False)
    raw["spec"]["replicas"] = pin
    raw["spec"]["pools"][0]["minReplicas"] = 2
    verdict = think(LLMService.from_object(raw), world(replicas, rate), ahead=rate)
    assert 2 <= decided(verdict) <= 8


def test_a_pin_is_obeyed_and_says_what_would_be_done(service_object: Make) -> None:
    """spec.replicas holds the pool, also without metrics, and the reason keeps the recommendation."""
    service = LLMService.from_object(service_object(replicas=4))
    verdict = think(service, world(2, 100.0, newest_sample=None))
    assert verdict.decision is not None
    assert (verdict.decision.replicas, verdict.decision.code) == (4, "Pinned")
    assert "unpinned: 2" in verdict.decision.reason
    assert decided(think(LLMService.from_object(service_object(replicas=0)), world(3, 100.0))) == 3


def test_a_manual_change_of_the_target_counts_as_what_is_there(eager: LLMService) -> None:
    """Somebody scales the target from 2 to 6 by hand: the next decision starts from 6."""
    brain = Brain()
    think(eager, world(2, 100.0), brain)
    assert decided(think(eager, world(6, 100.0, ready=2), brain)) == 6


def test_the_fallback_raises_the_pool_after_its_time(service_object: Make) -> None:
    """With metrics missing for afterSeconds the pool grows to the fallback, not before."""
    service = LLMService.from_object(service_object(fallback={"replicas": 5, "afterSeconds": 180}))
    brain, blind = Brain(), world(2, 0.0, newest_sample=None)
    assert decided(think(service, blind, brain)) == 2
    assert decided(think(service, replace(blind, now=NOW + 100), brain)) == 2
    later = think(service, replace(blind, now=NOW + 181), brain)
    assert decided(later) == 5
    assert later.decision is not None
    assert later.decision.code == "Fallback"


def test_the_horizon_is_the_measured_cold_start_and_one_interval(service_object: Make) -> None:
    """Measured beats assumed, and what the user says beats both."""
    service = LLMService.from_object(service_object(intervalSeconds=15, coldStartSeconds=200))
    assert horizon_seconds(service, Foretold(None, None)) == 215.0
    assert horizon_seconds(service, Foretold(None, 96.0)) == 111.0
    own = LLMService.from_object(service_object(forecast={"horizonSeconds": 900}))
    assert horizon_seconds(own, Foretold(None, 96.0)) == 900.0


def test_limits_say_what_the_api_says(service_object: Make) -> None:
    """Bounds, behavior, staleness and fallback reach the constraints unchanged."""
    limits = limits_of(
        LLMService.from_object(
            service_object(
                behavior={
                    "scaleUp": {
                        "stabilizationWindowSeconds": 7,
                        "policies": [{"type": "Pods", "value": 3, "periodSeconds": 20}],
                        "selectPolicy": "Min",
                    }
                },
                fallback={"replicas": 3, "afterSeconds": 90},
            )
        )
    )
    assert (limits.min_replicas, limits.max_replicas, limits.stale_after_seconds) == (2, 8, 60.0)
    up = limits.behavior.up
    assert (up.stabilization_window_seconds, up.select_policy) == (7.0, "Min")
    assert (up.policies[0].type, up.policies[0].value, up.policies[0].period_seconds) == ("Pods", 3, 20.0)
    assert limits.behavior.down.stabilization_window_seconds == 300.0
    assert (limits.fallback_replicas, limits.fallback_after_seconds) == (3, 90.0)


def told(
    service: LLMService, look: World, kind: ConditionType, ahead: float | None = None
) -> tuple[Any, ...]:
    """Return status, reason and message of a condition of a look."""
    finding = findings(service, look, think(service, look, ahead=ahead), None, None)[kind]
    return finding.holds, finding.reason, finding.message


def test_conditions_name_the_trouble_and_its_address(service: LLMService) -> None:
    """Unreachable, silent and stale metrics are three reasons, each with what to look at."""
    metrics = ConditionType.METRICS_AVAILABLE
    gone = Trouble(
        "PrometheusUnreachable", "Prometheus at http://prometheus:9090: connection refused or lost"
    )
    holds, reason, message = told(service, world(2, 1.0, trouble=gone), metrics)
    assert (holds, reason) == (False, "PrometheusUnreachable")
    assert "http://prometheus:9090" in message
    assert told(service, world(2, 1.0, newest_sample=None), metrics)[:2] == (False, "NoSamples")
    holds, reason, message = told(service, world(2, 1.0, age=75.0), metrics)
    assert (holds, reason) == (False, "SamplesStale")
    assert "75 s" in message
    assert told(service, world(2, 1.0, pods={}), metrics)[:2] == (True, "SomePodsSilent")
    assert told(service, world(2, 1.0), metrics)[:2] == (True, "SamplesFresh")


def test_conditions_of_target_router_and_forecast(service: LLMService) -> None:
    """A missing target, a Service without endpoints and a forecast are each told with figures."""
    lost = replace(world(2, 1.0), target=Trouble("TargetNotFound", "Deployment prod/chat does not exist"))
    assert told(service, lost, ConditionType.TARGET_RESOLVED)[:2] == (False, "TargetNotFound")
    assert told(service, lost, ConditionType.SCALING_ACTIVE)[:2] == (False, "TargetUnresolved")
    assert told(service, lost, ConditionType.READY)[:2] == (False, "TargetNotFound")
    bare = replace(world(2, 1.0), endpoints=Endpoints(0, 0))
    assert told(service, bare, ConditionType.ROUTER_READY)[:2] == (False, "NoEndpoints")
    assert told(service, world(2, 1.0), ConditionType.FORECAST_READY)[:2] == (False, "TooLittleHistory")
    holds, reason, message = told(service, world(2, 1.0), ConditionType.FORECAST_READY, ahead=1234.0)
    assert (holds, reason) == (True, "Forecasting")
    assert "1234 prompt and 247 output tokens/s at P90" in message


def test_recommending_is_no_scaling(service_object: Make) -> None:
    """In mode Recommend the condition says that nothing is written, and how to change that."""
    service = LLMService.from_object(service_object(mode="Recommend"))
    holds, reason, message = told(service, world(2, 1.0), ConditionType.SCALING_ACTIVE)
    assert (holds, reason) == (False, "RecommendOnly")
    assert "scaling.mode: Auto" in message


def test_an_unknown_profile_names_field_value_and_choices(service_object: Make) -> None:
    """A profile that does not ship is refused with the field, the value and what there is."""
    raw = service_object()
    raw["spec"]["pools"][0]["engineProfile"] = "tpu-9"
    with pytest.raises(UnknownProfileError, match=r"engineProfile.*'tpu-9'.*rtx4090-llama-3.1-8b"):
        profile_of(LLMService.from_object(raw))


def test_samples_become_signals_and_nan_becomes_absent() -> None:
    """Gauges and rates are grouped by pod; NaN and missing series are None, zero is zero."""
    gauges = [
        Sample({"__name__": "presage_router_kv_usage", "pod": "a"}, 0.0, NOW),
        Sample({"__name__": "presage_router_anticipated_peak", "pod": "a"}, float("nan"), NOW),
        Sample({"__name__": "presage_router_waiting_requests", "pod": "b"}, 3.0, NOW),
        Sample({"__name__": "presage_router_kv_usage"}, 0.9, NOW),
    ]
    rates = [
        Sample({"signal": "met", "pod": "a"}, 3.0, NOW),
        Sample({"signal": "missed", "pod": "a"}, 1.0, NOW),
        Sample({"signal": "met", "pod": "b"}, 0.0, NOW),
    ]
    signals = pod_signals(gauges, rates)
    assert set(signals) == {"a", "b"}
    assert (signals["a"].kv_usage, signals["a"].peak, signals["a"].waiting) == (0.0, None, None)
    assert (signals["a"].slo_met, signals["a"].finished) == (0.75, 4.0)
    assert (signals["b"].slo_met, signals["b"].finished) == (None, 0.0)
    assert waiting_requests(signals) == 3.0
    assert waiting_requests({"a": signals["a"]}) is None
