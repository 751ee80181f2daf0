"""From one look at the world to a decision. No I/O and no clock: the time is the look's own.

The law itself is in `presage_policies.scaling`; here the API's words become its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import presage_crds as crds
from presage_policies.objectives import Objectives
from presage_policies.scaling import (
    HPA,
    Behavior,
    ConstrainState,
    Decision,
    HPAParameters,
    InstanceSignal,
    Limits,
    Observation,
    PreServe,
    PreServeParameters,
    RatePolicy,
    Rules,
    constrain,
)

from presage_operator.signals import PodSignals, waiting_requests
from presage_operator.targets import Target

if TYPE_CHECKING:
    from presage_policies.engine import EngineProfile
    from presage_policies.forecast_record import Accuracy
    from presage_policies.forecasting import Forecast, TokenRates
    from presage_policies.scaling import ScalingPolicy

    from presage_operator.observe import World


@dataclass(frozen=True)
class Foretold:
    """What is known of the time ahead; seconds."""

    forecast: Forecast | None
    cold_start_seconds: float | None  # measured; None: not yet
    accuracy: Accuracy | None = None  # of the forecasts that served; None: none was judged yet
    weights_trouble: str | None = None  # why the weights asked for do not serve


@dataclass(frozen=True)
class Verdict:
    """What one pass came to; `decision` None = there is no target to decide about."""

    decision: Decision | None
    forecast: Forecast | None
    peak: TokenRates | None  # of the forecast, at `quantile`, within the horizon
    quantile: float
    horizon_seconds: float
    cold_start_seconds: float  # measured, else assumed
    measured_cold_start_seconds: float | None
    metrics_age_seconds: float | None  # None: no samples, or no answer
    silent_pods: tuple[str, ...]  # ready, but without any sample
    windows: int  # of history that are known
    accuracy: Accuracy | None  # of the forecasts that served
    weights_trouble: str | None  # why the weights asked for do not serve


class Brain:
    """The memory of one service's scaling; all of it may be lost without a jump in replicas."""

    def __init__(self) -> None:
        self._policy: ScalingPolicy[Any] | None = None
        self._made_for: tuple[object, ...] = ()
        self._policy_state: Any = None
        self._constrain_state = ConstrainState.initial()
        self._mean_tokens: tuple[float | None, float | None] = (None, None)

    def think(
        self, service: crds.LLMService, profile: EngineProfile, world: World, foretold: Foretold
    ) -> Verdict:
        """Decide on one look at the world."""
        scaling = service.spec.scaling
        observation = self._observation(service, profile, world, foretold)
        decision = None
        if isinstance(world.target, Target):
            decision = self._decide(service, observation)
        forecast, quantile = foretold.forecast, scaling.forecast.quantile_percent / 100
        horizon = observation.horizon_seconds
        return Verdict(
            decision=decision,
            forecast=forecast,
            peak=forecast.peak(quantile, horizon, world.now) if forecast else None,
            quantile=quantile,
            horizon_seconds=horizon,
            cold_start_seconds=_cold_start(service, foretold),
            measured_cold_start_seconds=foretold.cold_start_seconds,
            metrics_age_seconds=observation.metrics_age_seconds,
            silent_pods=tuple(p.name for p in world.pods if p.ready and p.name not in world.load.pods),
            windows=len(observation.series),
            accuracy=foretold.accuracy,
            weights_trouble=foretold.weights_trouble,
        )

    def _decide(self, service: crds.LLMService, observation: Observation) -> Decision:
        policy = self._current_policy(service)
        self._policy_state, sizing = policy.size(self._policy_state, observation)
        limits = limits_of(service)
        self._constrain_state, decision = constrain(self._constrain_state, observation, sizing, limits)
        return pinned(service, decision)

    def _current_policy(self, service: crds.LLMService) -> ScalingPolicy[Any]:
        """Return the policy that the spec asks for; its memory survives a change of its parameters only."""
        scaling = service.spec.scaling
        wanted = (scaling.policy, scaling.hpa, scaling.forecast.quantile_percent)
        if self._policy is None or self._made_for != wanted:
            policy = policy_of(scaling)
            if self._made_for[:1] != wanted[:1]:
                self._policy_state = policy.initial()
            self._policy, self._made_for = policy, wanted
        return self._policy

    def _observation(
        self, service: crds.LLMService, profile: EngineProfile, world: World, foretold: Foretold
    ) -> Observation:
        scaling, load = service.spec.scaling, world.load
        self._mean_tokens = (
            load.mean_prompt_tokens or self._mean_tokens[0],
            load.mean_output_tokens or self._mean_tokens[1],
        )
        # Only a number that Prometheus vouches for now counts as fresh, whatever it said before.
        newest = None if load.trouble else load.newest_sample
        live = {pod.name for pod in world.pods}
        return Observation(
            now=world.now,
            series=load.series,
            forecast=foretold.forecast,
            current=world.target.replicas if isinstance(world.target, Target) else 0,
            ready=sum(pod.ready for pod in world.pods),
            instances=tuple(
                _instance(pod.name, load.pods.get(pod.name), ready=pod.ready) for pod in world.pods
            ),
            waiting_requests=waiting_requests({n: s for n, s in load.pods.items() if n in live}),
            metrics_age_seconds=None if newest is None else max(0.0, world.now - newest),
            cold_start_seconds=max(0.0, horizon_seconds(service, foretold) - scaling.interval_seconds),
            interval_seconds=float(scaling.interval_seconds),
            mean_prompt_tokens=self._mean_tokens[0],
            mean_output_tokens=self._mean_tokens[1],
            engine=profile,
            objectives=objectives_of(service),
        )


def horizon_seconds(service: crds.LLMService, foretold: Foretold) -> float:
    """How far ahead to look: as specified, else until a pod asked for at the next decision serves."""
    scaling = service.spec.scaling
    if scaling.forecast.horizon_seconds is not None:
        return float(max(scaling.forecast.horizon_seconds, scaling.interval_seconds))
    return _cold_start(service, foretold) + scaling.interval_seconds


def _cold_start(service: crds.LLMService, foretold: Foretold) -> float:
    measured = foretold.cold_start_seconds
    return float(service.spec.scaling.cold_start_seconds) if measured is None else measured


def policy_of(scaling: crds.Scaling) -> ScalingPolicy[Any]:
    """Return the policy of the API's name, with its parameters."""
    if scaling.policy is crds.ScalingPolicyName.HPA:
        return HPA(
            HPAParameters(
                kv_usage=scaling.hpa.kv_usage_percent / 100,
                queued_per_replica=float(scaling.hpa.queued_requests_per_replica),
            )
        )
    return PreServe(PreServeParameters(level=scaling.forecast.quantile_percent / 100))


def wants_forecast(service: crds.LLMService) -> bool:
    """Whether the policy looks ahead."""
    return service.spec.scaling.policy is crds.ScalingPolicyName.PRESERVE


def uses_weights(service: crds.LLMService) -> bool:
    """Whether the learned forecaster serves it, alone or weighed against others."""
    return wants_forecast(service) and service.spec.scaling.forecast.model is crds.ForecastModel.AUTO


def limits_of(service: crds.LLMService) -> Limits:
    """Return the user's limits, as `constrain` takes them."""
    spec, pool = service.spec, service.spec.pools[0]
    fallback, behavior = spec.scaling.fallback, spec.scaling.behavior
    limits = Limits(
        min_replicas=pool.min_replicas,
        max_replicas=pool.max_replicas,
        behavior=Behavior(up=_rules(behavior.scale_up), down=_rules(behavior.scale_down)),
        stale_after_seconds=float(spec.metrics.prometheus.stale_after_seconds),
    )
    if fallback is None:
        return limits
    return Limits(
        limits.min_replicas,
        limits.max_replicas,
        limits.behavior,
        limits.stale_after_seconds,
        fallback_replicas=fallback.replicas,
        fallback_after_seconds=float(fallback.after_seconds),
    )


def pinned(service: crds.LLMService, decision: Decision) -> Decision:
    """Return the decision, or the number that `spec.replicas` holds the pool at, within its bounds."""
    wanted, pool = service.spec.replicas, service.spec.pools[0]
    if wanted is None:
        return decision
    replicas = min(max(wanted, pool.min_replicas), pool.max_replicas)
    bounds = "" if replicas == wanted else f", within {pool.min_replicas} to {pool.max_replicas}"
    reason = f"spec.replicas pins {wanted}{bounds}; unpinned: {decision.replicas} ({decision.reason})"
    return Decision(replicas, reason, "Pinned", "spec.replicas")


def objectives_of(service: crds.LLMService) -> Objectives:
    """Return the objectives in seconds."""
    given = service.spec.objectives
    return Objectives(given.ttft_milliseconds / 1000, given.tpot_milliseconds / 1000, float(given.percentile))


def _rules(given: crds.ScaleUp | crds.ScaleDown) -> Rules:
    return Rules(
        stabilization_window_seconds=float(given.stabilization_window_seconds),
        policies=tuple(
            RatePolicy(step.type.value, step.value, float(step.period_seconds)) for step in given.policies
        ),
        select_policy=given.select_policy.value,
    )


def _instance(name: str, told: PodSignals | None, *, ready: bool) -> InstanceSignal:
    if told is None:
        return InstanceSignal(name, ready)
    return InstanceSignal(
        name,
        ready,
        overload=told.overload,
        projected_peak=told.peak,
        kv_usage=told.kv_usage,
        requests=told.requests,
        prompt_rate=told.prompt_rate,
        output_rate=told.output_rate,
        slo_met=told.slo_met,
        finished=told.finished,
    )
