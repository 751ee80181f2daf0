"""The law of Kubernetes' HorizontalPodAutoscaler v2 on KV use and queue: the reactive baseline.

Written from Kubernetes' documentation and the behaviour of its replica calculator: a tolerance of 10 %, the
highest of all metrics, pods without a metric counted so that they dampen, and no scale-down while any
metric is missing.
"""

import math
from dataclasses import dataclass

from presage_policies.scaling.policy import Observation, Sizing

TOLERANCE = 0.1  # --horizontal-pod-autoscaler-tolerance


@dataclass(frozen=True, slots=True)
class HPAParameters:
    """Targets: mean KV use of ready pods (share), and waiting requests per replica; None = not looked at.

    `as_published`: shrinking is left to the law and to `behavior`, as Kubernetes does, without the check of
    survivors that Presage adds.
    """

    kv_usage: float | None = 0.7
    queued_per_replica: float | None = 4.0
    as_published: bool = False

    def __post_init__(self) -> None:
        if self.kv_usage is None and self.queued_per_replica is None:
            raise ValueError("hpa has no target: give kvUsagePercent, queuedRequestsPerReplica or both")
        if self.kv_usage is not None and not 0 < self.kv_usage <= 1:
            raise ValueError(f"hpa.kvUsagePercent is {self.kv_usage * 100:g}: give 1 to 100")
        if self.queued_per_replica is not None and not self.queued_per_replica > 0:
            raise ValueError(
                f"hpa.queuedRequestsPerReplica is {self.queued_per_replica:g}: give a positive number"
            )


@dataclass(frozen=True, slots=True)
class HPAState:
    """The law remembers nothing; what is remembered is in `constrain`."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one metric asks for; None = the metric is missing."""

    metric: str
    replicas: int | None
    words: str


class HPA:
    """The reactive policy."""

    name = "HPA"

    def __init__(self, parameters: HPAParameters | None = None) -> None:
        self.parameters = parameters or HPAParameters()

    def initial(self) -> HPAState:
        """Return the (empty) state."""
        return HPAState()

    def size(self, state: HPAState, observation: Observation) -> tuple[HPAState, Sizing]:
        """Return the state and the highest of what each metric asks for."""
        kv, queue = self.parameters.kv_usage, self.parameters.queued_per_replica
        proposals = [] if kv is None else [_by_kv(observation, kv)]
        proposals += [] if queue is None else [_by_queue(observation, queue)]
        present = [(p.replicas, p.words) for p in proposals if p.replicas is not None]
        missing = [p.metric for p in proposals if p.replicas is None]
        if not present:
            reason = f"held at {observation.current}: no metric is available ({', '.join(missing)})"
            return state, Sizing(observation.current, reason, "MetricsUnavailable", {}, hold_down=True)
        replicas, words = max(present)
        if missing and replicas < observation.current:
            reason = f"held at {observation.current}: {words}, but {', '.join(missing)} is missing"
            return state, Sizing(observation.current, reason, "MetricsMissing", {}, hold_down=True)
        figures = {p.metric: float(p.replicas) for p in proposals if p.replicas is not None}
        code, bare = _code(replicas, observation.current), self.parameters.as_published
        return state, Sizing(replicas, words, code, figures, unguarded=bare)


def _by_kv(observation: Observation, target: float) -> Proposal:
    """Compare the mean KV use of ready pods with its target (a Pods metric)."""
    metric = "kvUsage"
    values = [i.kv_usage for i in observation.serving if i.kv_usage is not None]
    if not values:
        return Proposal(metric, None, "KV use is missing")
    silent = max(0, observation.ready - len(values))
    unready = max(0, observation.current - observation.ready)
    words = f"KV use {sum(values) / len(values):.0%} of {len(values)} pods against {target:.0%}"
    return Proposal(metric, _plain(values, target, silent, unready, observation.current), words)


def _by_queue(observation: Observation, target: float) -> Proposal:
    """Compare all waiting requests with a target a replica (an External metric with AverageValue)."""
    waiting = observation.waiting_requests
    if waiting is None or not math.isfinite(waiting):
        return Proposal("queuedRequests", None, "the queue is missing")
    words = f"{waiting:.0f} requests wait against {target:g} a replica"
    if observation.current > 0 and abs(waiting / (target * observation.current) - 1) <= TOLERANCE:
        return Proposal("queuedRequests", observation.current, words)
    return Proposal("queuedRequests", math.ceil(waiting / target), words)


def _plain(values: list[float], target: float, silent: int, unready: int, current: int) -> int:
    """Return replicas by the replica calculator's rule for pod metrics.

    Silent pods count as at target when shrinking and as idle when growing, unready ones as idle when
    growing; if that turns the direction round or falls within the tolerance, nothing changes.
    """
    ratio = sum(values) / len(values) / target
    growing = ratio > 1
    if silent == 0 and not (growing and unready):
        within = abs(ratio - 1) <= TOLERANCE
        return current if within else math.ceil(ratio * len(values))
    filled = silent * (0.0 if growing else target)
    counted = len(values) + silent + (unready if growing else 0)
    dampened = (sum(values) + filled) / counted / target
    if abs(dampened - 1) <= TOLERANCE or (dampened > 1) != growing:
        return current
    replicas = math.ceil(dampened * counted)
    turned = (dampened < 1 and replicas > current) or (dampened > 1 and replicas < current)
    return current if turned else replicas


def _code(replicas: int, current: int) -> str:
    if replicas > current:
        return "AboveTarget"
    return "BelowTarget" if replicas < current else "WithinTolerance"
