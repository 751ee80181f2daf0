"""Reads the conditions of a service off one look at the world and what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from presage_crds import ConditionType, ScalingMode, ScalingPolicyName

from presage_operator.conditions import Finding, summary
from presage_operator.observe import Trouble

if TYPE_CHECKING:
    from presage_crds import LLMService

    from presage_operator.brain import Verdict
    from presage_operator.observe import World


def findings(
    service: LLMService, world: World, verdict: Verdict, scale: Trouble | None, router: Trouble | None
) -> dict[ConditionType, Finding]:
    """Every condition, `Ready` first; `scale` and `router` tell what went wrong in acting."""
    found = [
        _target(world),
        _metrics(service, world, verdict),
        _forecast(service, verdict),
        _scaling(service, world, verdict, scale),
        _router(service, world, router),
    ]
    by_type = {finding.type: finding for finding in found}
    ready = summary(by_type)
    return {ready.type: ready, **by_type}


def _target(world: World) -> Finding:
    kind = ConditionType.TARGET_RESOLVED
    if isinstance(world.target, Trouble):
        return Finding(kind, False, world.target.code, world.target.message)
    ready = sum(pod.ready for pod in world.pods)
    told = f"{world.target.replicas} replicas asked for, {len(world.pods)} pods, {ready} ready"
    return Finding(kind, True, "TargetFound", told)


def _metrics(service: LLMService, world: World, verdict: Verdict) -> Finding:
    kind = ConditionType.METRICS_AVAILABLE
    prometheus = service.spec.metrics.prometheus
    trouble, age = world.load.trouble, verdict.metrics_age_seconds
    if trouble is not None:
        return Finding(kind, False, trouble.code, f"{trouble.message}; nothing is scaled down meanwhile")
    if age is None:
        return Finding(
            kind,
            False,
            "NoSamples",
            f"Prometheus at {prometheus.address} has no sample of service {service.metadata.name} within"
            " the last hour; let it scrape the sidecars' peer port",
        )
    if age > prometheus.stale_after_seconds:
        return Finding(
            kind,
            False,
            "SamplesStale",
            f"the newest sample is {age:.0f} s old, staleAfterSeconds is {prometheus.stale_after_seconds};"
            " nothing is scaled down meanwhile",
        )
    if verdict.silent_pods:
        return Finding(
            kind,
            True,
            "SomePodsSilent",
            f"{len(verdict.silent_pods)} ready pods report nothing: {', '.join(verdict.silent_pods[:3])}",
        )
    return Finding(
        kind,
        True,
        "SamplesFresh",
        f"{len(world.load.pods)} pods report, the newest sample is {age:.0f} s old",
    )


def _forecast(service: LLMService, verdict: Verdict) -> Finding:
    kind = ConditionType.FORECAST_READY
    if service.spec.scaling.policy is ScalingPolicyName.HPA:
        return Finding(kind, None, "NotUsed", "policy HPA does not forecast")
    if verdict.forecast is None:
        return Finding(
            kind,
            False,
            "TooLittleHistory",
            f"{verdict.windows} windows of {service.spec.scaling.forecast.window_seconds} s are too few to"
            " forecast from; the present load counts meanwhile",
        )
    peak = verdict.peak
    assert peak is not None  # a forecast has a peak
    said = (
        f"{verdict.forecast.model}: {peak.prompt:.0f} prompt and {peak.output:.0f} output tokens/s at"
        f" P{service.spec.scaling.forecast.quantile_percent} within {verdict.horizon_seconds:.0f} s"
    )
    if verdict.weights_trouble is not None:
        return Finding(kind, True, "WeightsUnusable", f"{said}; {verdict.weights_trouble}")
    return Finding(kind, True, "Forecasting", said)


def _scaling(service: LLMService, world: World, verdict: Verdict, scale: Trouble | None) -> Finding:
    kind = ConditionType.SCALING_ACTIVE
    decision, mode = verdict.decision, service.spec.scaling.mode
    if isinstance(world.target, Trouble) or decision is None:
        return Finding(kind, False, "TargetUnresolved", "there is nothing to scale; see TargetResolved")
    if scale is not None:
        return Finding(kind, False, scale.code, scale.message)
    if mode is ScalingMode.RECOMMEND:
        return Finding(
            kind,
            False,
            "RecommendOnly",
            f"{decision.replicas} replicas are recommended and nothing is written; set scaling.mode: Auto"
            " to act",
        )
    if service.spec.replicas is not None:
        return Finding(kind, False, decision.code, decision.reason)
    return Finding(kind, True, decision.code, decision.reason)


def _router(service: LLMService, world: World, router: Trouble | None) -> Finding:
    kind, name = ConditionType.ROUTER_READY, service.service_name
    if router is not None:
        return Finding(kind, False, router.code, router.message)
    known, ready = world.endpoints.known, world.endpoints.ready
    if not known:
        return Finding(
            kind,
            False,
            "NoEndpoints",
            f"Service {name} lists no endpoints; make a Service of that name whose port is the sidecars'"
            " front, or name yours in routing.serviceName",
        )
    told = f"{ready} of {known} sidecars of Service {name} take requests"
    return Finding(kind, ready > 0, "SidecarsReady" if ready else "NoSidecarReady", told)
