"""Puts one pass into words and figures: the status, the Events, the metrics."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from presage_crds import ConditionStatus, ConditionType, ForecastStatus, LLMServiceStatus, PoolStatus

from presage_operator.conditions import Finding, conditions
from presage_operator.events import Event
from presage_operator.metrics import LABELS
from presage_operator.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from presage_crds import LLMService
    from prometheus_client import Gauge

    from presage_operator.brain import Verdict
    from presage_operator.metrics import Metrics
    from presage_operator.observe import Trouble, World

LONGEST_MESSAGE = 2048


def status_of(
    service: LLMService,
    world: World,
    verdict: Verdict,
    found: Mapping[ConditionType, Finding],
    before: LLMServiceStatus,
    *,
    scaled_at: float | None,
) -> LLMServiceStatus:
    """Return the whole status after a pass; what could not be seen this time is kept from `before`."""
    generation = service.metadata.generation
    pool = _pool_status(service, world, verdict, before, scaled_at)
    selector = world.target.selector if isinstance(world.target, Target) else before.selector
    return LLMServiceStatus(
        observed_generation=generation,
        replicas=pool.current_replicas,
        ready_replicas=pool.ready_replicas,
        desired_replicas=pool.desired_replicas,
        selector=selector,
        conditions=conditions(found.values(), before, generation, world.now),
        pools=(pool,),
        forecast=_forecast_status(service, verdict),
    )


def _pool_status(
    service: LLMService, world: World, verdict: Verdict, before: LLMServiceStatus, scaled_at: float | None
) -> PoolStatus:
    name = service.spec.pools[0].name
    earlier = before.pool(name) or PoolStatus(name=name)
    decision, cold = verdict.decision, verdict.measured_cold_start_seconds
    seen = isinstance(world.target, Target)
    return PoolStatus(
        name=name,
        current_replicas=world.target.replicas if isinstance(world.target, Target) else 0,
        ready_replicas=sum(pod.ready for pod in world.pods) if seen else 0,
        desired_replicas=decision.replicas if decision else earlier.desired_replicas,
        reason=decision.code if decision else "TargetUnresolved",
        message=decision.reason[:LONGEST_MESSAGE] if decision else None,
        cold_start_seconds=None if cold is None else round(cold),
        last_scale_time=earlier.last_scale_time
        if scaled_at is None
        else datetime.fromtimestamp(scaled_at, UTC),
    )


def _forecast_status(service: LLMService, verdict: Verdict) -> ForecastStatus | None:
    if verdict.forecast is None or verdict.peak is None:
        return None
    prompt, output = round(verdict.peak.prompt), round(verdict.peak.output)
    return ForecastStatus(
        model=verdict.forecast.model,
        generated_at=datetime.fromtimestamp(verdict.forecast.generated_at, UTC),
        horizon_seconds=round(verdict.horizon_seconds),
        quantile_percent=service.spec.scaling.forecast.quantile_percent,
        prompt_tokens_per_second=prompt,
        generation_tokens_per_second=output,
        tokens_per_second=prompt + output,
        error_percent=None if verdict.accuracy is None else round(100 * verdict.accuracy.wape),
        coverage_percent=None if verdict.accuracy is None else round(100 * verdict.accuracy.coverage90),
    )


def troubled_status(
    generation: int, before: LLMServiceStatus, trouble: Trouble, now: float
) -> LLMServiceStatus:
    """Return the status of a service that no pass gets through: all stays, `Ready` says what to mend."""
    finding = Finding(ConditionType.READY, False, trouble.code, trouble.message)
    others = tuple(c for c in before.conditions if c.type != ConditionType.READY.value)
    ready = conditions([finding], before, generation, now)
    return before.model_copy(update={"observed_generation": generation, "conditions": (*ready, *others)})


def scale_event(before: int, after: int, why: str) -> Event:
    """Return the Event of a change of replicas."""
    return Event("ScaledUp" if after > before else "ScaledDown", f"{before} → {after} replicas: {why}")


def condition_events(before: LLMServiceStatus, after: LLMServiceStatus) -> list[Event]:
    """Events for conditions that changed; what is well from the start is no news."""
    return [
        Event(
            condition.reason,
            f"{condition.type} is {condition.status}: {condition.message}",
            warning=condition.status is not ConditionStatus.TRUE,
        )
        for condition in after.conditions
        if condition.type not in _QUIET and _changed(before, after, condition.type)
    ]


# Ready repeats another condition, and ScalingActive changes with every reason.
_QUIET = (ConditionType.READY.value, ConditionType.SCALING_ACTIVE.value)


def _changed(before: LLMServiceStatus, after: LLMServiceStatus, kind: str) -> bool:
    then, now = before.condition(kind), after.condition(kind)
    if now is None:
        return False
    if then is None:
        return now.status is ConditionStatus.FALSE
    return then.status is not now.status


def show(metrics: Metrics, service: LLMService, world: World, verdict: Verdict) -> None:
    """Set the gauges of a service; what is not known has no series."""
    where = (service.metadata.namespace, service.metadata.name, service.spec.pools[0].name)
    if isinstance(world.target, Target):
        metrics.current.labels(*where).set(world.target.replicas)
        metrics.ready.labels(*where).set(sum(pod.ready for pod in world.pods))
    metrics.cold_start.labels(*where).set(verdict.cold_start_seconds)
    _show_accuracy(metrics, where, verdict, world.now)
    _show_or_remove(metrics, where, verdict)
    if verdict.decision is not None:
        metrics.desired.labels(*where).set(verdict.decision.replicas)
        metrics.decisions.labels(*where, verdict.decision.code).inc()
        metrics.last_pass.labels(*where).set(world.now)


def _show_or_remove(metrics: Metrics, where: tuple[str, str, str], verdict: Verdict) -> None:
    if verdict.metrics_age_seconds is None:
        _remove(metrics.metrics_age, [where])
    else:
        metrics.metrics_age.labels(*where).set(verdict.metrics_age_seconds)
    quantile = f"{verdict.quantile:g}"
    for kind in ("prompt", "output"):
        if verdict.peak is None:
            _remove(metrics.forecast, [(*where, kind, quantile)])
        else:
            metrics.forecast.labels(*where, kind, quantile).set(getattr(verdict.peak, kind))


def _show_accuracy(metrics: Metrics, where: tuple[str, str, str], verdict: Verdict, now: float) -> None:
    """Show who forecasts, since when, and how good that was; one model at a time has a series."""
    metrics.forecast_model.remove_by_labels(dict(zip(LABELS, where, strict=True)))
    if verdict.forecast is None:
        _remove(metrics.forecast_age, [where])
    else:
        metrics.forecast_model.labels(*where, verdict.forecast.model).set(1)
        metrics.forecast_age.labels(*where).set(max(0.0, now - verdict.forecast.generated_at))
    if verdict.accuracy is None:
        for gauge in (metrics.forecast_wape, metrics.forecast_coverage):
            _remove(gauge, [where])
    else:
        metrics.forecast_wape.labels(*where).set(verdict.accuracy.wape)
        metrics.forecast_coverage.labels(*where).set(verdict.accuracy.coverage90)


def _remove(gauge: Gauge, series: Iterable[tuple[str, ...]]) -> None:
    for labels in series:
        try:
            gauge.remove(*labels)
        except KeyError:
            continue  # was never there
