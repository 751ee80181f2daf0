"""What the cluster did during a run: pods, their readiness, and what was asked for, in wall-clock order.

A recorder of events, kept apart from the client that sees them, so that results can be computed and
tested on timelines written by hand. Times are wall-clock seconds.
"""

import math
import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PodLife:
    """One pod: created, first ready (None: never), gone (None: still there)."""

    name: str
    created: float
    ready: float | None = None
    gone: float | None = None

    def seconds_within(self, start: float, end: float) -> float:
        """How long the pod existed within [start, end], cold start included."""
        until = math.inf if self.gone is None else self.gone
        return max(0.0, min(until, end) - max(self.created, start))


@dataclass(frozen=True, slots=True)
class Step:
    """A value that holds from `at` on."""

    at: float
    value: int


@dataclass
class ServiceTimeline:
    """Everything seen of one service."""

    pods: dict[str, PodLife] = field(default_factory=dict)
    asked: list[Step] = field(default_factory=list)  # replicas that the Deployment asks for
    ready: list[Step] = field(default_factory=list)  # pods that are ready
    forecast: list[tuple[float, float]] = field(default_factory=list)  # (time, tokens per second)
    desired: list[Step] = field(default_factory=list)  # what the operator's last decision calls for
    reason: str = ""  # the operator's words for it
    accuracy: tuple[float, float] | None = None  # live WAPE and 90 % coverage of its forecasts, as shares

    def peak_replicas(self, start: float, end: float) -> int:
        """Return the most pods that existed at one instant within [start, end]."""
        edges = [start, *(pod.created for pod in self.pods.values() if start <= pod.created <= end)]
        return max(
            sum(
                pod.created <= edge < (math.inf if pod.gone is None else pod.gone)
                for pod in self.pods.values()
            )
            for edge in edges
        )

    def replica_seconds(self, start: float, end: float) -> float:
        """Pod-seconds within [start, end] from creation to deletion, cold start included."""
        return sum(pod.seconds_within(start, end) for pod in self.pods.values())


class Timeline:
    """Timelines of all services; safe to write from the threads that watch the cluster."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self.services = {name: ServiceTimeline() for name in services}
        self._ready: dict[str, set[str]] = {name: set() for name in services}
        self._lock = threading.Lock()

    def pod_seen(self, service: str, name: str, at: float, *, ready: bool) -> None:
        """Note that a pod exists at `at`, and whether it is ready."""
        with self._lock:
            line, names = self.services[service], self._ready[service]
            pod = line.pods.get(name) or PodLife(name, created=at)
            if ready and pod.ready is None:
                pod = PodLife(name, pod.created, ready=at)
            line.pods[name] = pod
            (names.add if ready else names.discard)(name)
            _append(line.ready, Step(at, len(names)))

    def pods_listed(self, service: str, names: set[str], at: float) -> None:
        """Note that these are all the pods there are: others that were seen are gone."""
        for name, pod in list(self.services[service].pods.items()):
            if pod.gone is None and name not in names:
                self.pod_gone(service, name, at)

    def pod_gone(self, service: str, name: str, at: float) -> None:
        """Note that a pod was deleted."""
        with self._lock:
            line = self.services[service]
            pod = line.pods.get(name)
            if pod is not None and pod.gone is None:
                line.pods[name] = PodLife(name, pod.created, pod.ready, gone=at)
            self._ready[service].discard(name)
            _append(line.ready, Step(at, len(self._ready[service])))

    def replicas_asked(self, service: str, replicas: int, at: float) -> None:
        """Note how many replicas the Deployment asks for."""
        with self._lock:
            _append(self.services[service].asked, Step(at, replicas))

    def decision_seen(
        self, service: str, desired: int | None, forecast: float | None, at: float, reason: str = ""
    ) -> None:
        """Note the operator's status: desired replicas, forecast in tokens per second, the reason."""
        with self._lock:
            line = self.services[service]
            line.reason = reason
            if desired is not None:
                _append(line.desired, Step(at, desired))
            if forecast is not None:
                line.forecast.append((at, forecast))

    def accuracy_seen(self, service: str, wape: float, coverage: float) -> None:
        """Note the operator's own figures of its forecasts, as shares."""
        with self._lock:
            self.services[service].accuracy = (wape, coverage)


def value_at(steps: list[Step], at: float, default: int = 0) -> int:
    """Value of a step series at an instant; `default` before its first step."""
    current = default
    for step in steps:
        if step.at > at:
            break
        current = step.value
    return current


def _append(steps: list[Step], step: Step) -> None:
    if not steps or steps[-1].value != step.value:
        steps.append(step)
