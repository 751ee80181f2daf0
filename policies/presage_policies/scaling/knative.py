"""Knative's pod autoscaler (KPA) on concurrency: a stable window, and a panic window for bursts.

Source: Knative Serving's documentation of the KPA and the defaults of its `config-autoscaler`: windows of
60 s and 6 s, target utilisation 70 %, panic threshold 200 %, scale-up rate 1,000, scale-down rate 2, a
decision every 2 s. Windows hold the requests in flight as seen at each decision.
"""

import math
from dataclasses import dataclass, field, replace

from presage_policies.scaling.policy import Observation, Sizing
from presage_policies.scaling.samples import Samples


@dataclass(frozen=True, slots=True)
class KnativeParameters:
    """`concurrency` = requests that a pod should hold at most; the rest are Knative's own defaults."""

    concurrency: float = 100.0
    utilisation: float = 0.70
    stable_seconds: float = 60.0
    panic_seconds: float = 6.0
    panic_threshold: float = 2.0
    up_rate: float = 1000.0
    down_rate: float = 2.0

    def __post_init__(self) -> None:
        if not self.concurrency > 0:
            raise ValueError(f"concurrency is {self.concurrency}: give a positive number of requests")
        if not 0 < self.utilisation <= 1:
            raise ValueError(f"utilisation is {self.utilisation}: give a share above 0 and up to 1")
        if not self.up_rate > 1 or not self.down_rate > 1:
            raise ValueError(f"rates are up {self.up_rate}, down {self.down_rate}: both must exceed 1")

    @property
    def target(self) -> float:
        """Requests in flight that a pod is sized for."""
        return self.concurrency * self.utilisation


@dataclass(frozen=True, slots=True)
class KnativeState:
    """Requests in flight over the stable window; since when it panics, and the most wanted since then."""

    inflight: Samples = field(default_factory=Samples)
    panic_at: float | None = None
    panic_pods: int = 0


class Knative:
    """The concurrency policy."""

    name = "Knative"

    def __init__(self, parameters: KnativeParameters | None = None) -> None:
        self.parameters = parameters or KnativeParameters()

    def initial(self) -> KnativeState:
        """Return the state before the first observation."""
        return KnativeState()

    def size(self, state: KnativeState, observation: Observation) -> tuple[KnativeState, Sizing]:
        """Return the next state and the replicas for the concurrency of both windows."""
        chosen, now = self.parameters, observation.now
        inflight = state.inflight.with_reading(now, observation.inflight_requests, chosen.stable_seconds)
        state = replace(state, inflight=inflight)
        stable, panic = inflight.mean(now, chosen.stable_seconds), inflight.mean(now, chosen.panic_seconds)
        if stable is None or panic is None:
            words = f"held at {observation.current}: the requests in flight are unknown"
            return state, Sizing(observation.current, words, "MetricsUnavailable", {}, hold_down=True)
        ready = max(1, observation.ready)
        calm = self._within_rates(stable, ready)
        hurried = self._within_rates(panic, ready)
        state = self._panicked(state, now, over=math.ceil(panic / chosen.target) / ready)
        words = f"{stable:.1f} requests in flight ({panic:.1f} of late) against {chosen.target:g} a pod"
        figures = {"stableConcurrency": stable, "panicConcurrency": panic}
        if state.panic_at is None:
            return state, Sizing(calm, words, "StableWindow", figures, unguarded=True)
        state = replace(state, panic_pods=max(state.panic_pods, calm, hurried))
        return state, Sizing(state.panic_pods, f"{words}; panicking", "PanicWindow", figures, unguarded=True)

    def _within_rates(self, inflight: float, ready: int) -> int:
        wanted = math.ceil(inflight / self.parameters.target)
        least = math.floor(ready / self.parameters.down_rate)
        return min(max(wanted, least), math.ceil(ready * self.parameters.up_rate))

    def _panicked(self, state: KnativeState, now: float, over: float) -> KnativeState:
        if over >= self.parameters.panic_threshold:
            return replace(state, panic_at=now)
        if state.panic_at is not None and state.panic_at + self.parameters.stable_seconds < now:
            return replace(state, panic_at=None, panic_pods=0)
        return state
