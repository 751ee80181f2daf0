"""What the live view shows at one instant, worked out from timeline and records; no terminal here."""

from collections.abc import Sequence
from dataclasses import dataclass

from presage_cli.demo.figures import trace_clock
from presage_cli.demo.observer import Observer
from presage_cli.demo.plan import Plan, ServicePlan
from presage_cli.demo.records import Outcome, RequestRecord
from presage_cli.demo.results import attainment, percentile
from presage_cli.demo.timeline import ServiceTimeline, value_at


@dataclass(frozen=True)
class ServiceScene:
    """One service now, and how it came there: series have one value per window so far."""

    name: str
    policy: str
    load: tuple[float, ...]
    forecast: tuple[float, ...]
    ready: tuple[float, ...]
    pods_now: int
    ready_now: int
    desired_now: int
    completed: int
    failed: int
    lost: int
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    attainment: float | None
    reason: str


@dataclass(frozen=True)
class Scene:
    """The whole view at one instant; times are seconds of the replay."""

    at: float
    length: float
    clock: str
    in_flight: int
    late_p99_ms: float
    tokens_top: float
    replicas_top: float
    services: tuple[ServiceScene, ...]

    @property
    def left(self) -> float:
        """Seconds until the last request leaves."""
        return max(0.0, self.length - self.at)


def scene_of(observer: Observer, plan: Plan, offered: Sequence[float], starts_at: float, now: float) -> Scene:
    """Work the scene out at wall-clock second `now`."""
    at = now - starts_at
    progress, records, clock = observer.progress, observer.records, (starts_at, now)
    return Scene(
        at=at,
        length=plan.replay_seconds,
        clock=trace_clock(plan, min(at, plan.replay_seconds), "%a %H:%M"),
        in_flight=progress.in_flight if progress else 0,
        late_p99_ms=progress.late_p99_ms if progress else 0.0,
        tokens_top=plan.max_replicas * plan.capacity.total,
        replicas_top=plan.max_replicas,
        services=tuple(
            _service_scene(service, plan, observer.timeline.services[service.name], records, offered, clock)
            for service in plan.services
        ),
    )


def _service_scene(  # noqa: PLR0917 - called in one place
    service: ServicePlan,
    plan: Plan,
    line: ServiceTimeline,
    records: list[RequestRecord],
    offered: Sequence[float],
    clock: tuple[float, float],
) -> ServiceScene:
    starts_at, now = clock
    mine = [record for record in records if record.service == service.name and record.at >= 0]
    done = [record for record in mine if record.outcome is Outcome.COMPLETED]
    ttfts = [record.ttft_ms for record in done if record.ttft_ms is not None]
    windows = max(0, min(plan.trace.windows, int((now - starts_at) // plan.window_seconds) + 1))
    ends = [min(now, starts_at + (window + 1) * plan.window_seconds) for window in range(windows)]
    return ServiceScene(
        name=service.name,
        policy=f"{service.scaling_policy} + {service.routing_policy}",
        load=tuple(offered[:windows]),
        forecast=tuple(_forecast_at(line, end) for end in ends),
        ready=tuple(float(value_at(line.ready, end)) for end in ends),
        pods_now=sum(pod.gone is None for pod in list(line.pods.values())),
        ready_now=value_at(line.ready, now),
        desired_now=value_at(line.desired, now),
        completed=len(done),
        failed=sum(record.outcome is Outcome.FAILED for record in mine),
        lost=sum(record.outcome is Outcome.LOST for record in mine),
        ttft_p50_ms=percentile(ttfts, 50),
        ttft_p99_ms=percentile(ttfts, 99),
        attainment=attainment(mine, plan.objectives),
        reason=line.reason,
    )


def _forecast_at(line: ServiceTimeline, at: float) -> float:
    current = 0.0
    for seen, rate in list(line.forecast):
        if seen > at:
            break
        current = rate
    return current
