"""What holds for every scaling policy: bounds, rates of change, and when it is not safe to shrink.

A policy says what it wants; this says what happens. Growth is limited only by the user's own limits.
Shrinking needs fresh metrics, a policy that vouches for it, and survivors that stand the load.
"""

import math
from dataclasses import dataclass, field, replace

from presage_policies.scaling.behavior import Behavior, Change, highest_allowed, lowest_allowed
from presage_policies.scaling.policy import Observation, Sizing


@dataclass(frozen=True, slots=True)
class Limits:
    """The user's limits.

    `stale_after_seconds` = older metrics never shrink; `survivor_level` = the KV share that survivors may
    be projected to reach. With `fallback_replicas`, metrics that are missing for `fallback_after_seconds`
    raise the pool to at least so many.
    """

    min_replicas: int
    max_replicas: int
    behavior: Behavior = field(default_factory=Behavior)
    stale_after_seconds: float = 60.0
    survivor_level: float = 0.85
    fallback_replicas: int | None = None
    fallback_after_seconds: float = 300.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_replicas <= self.max_replicas:
            raise ValueError(
                f"minReplicas is {self.min_replicas} and maxReplicas {self.max_replicas}: "
                "give 0 <= minReplicas <= maxReplicas"
            )


@dataclass(frozen=True, slots=True)
class ConstrainState:
    """Past recommendations and changes, as far back as `behavior` looks; may be lost without a jump."""

    recommendations: tuple[tuple[float, int], ...] = ()
    changes: tuple[Change, ...] = ()
    last_current: int | None = None
    metrics_lost_at: float | None = None
    seen_at: float | None = None

    @classmethod
    def initial(cls) -> "ConstrainState":
        """Return the state before the first observation, or after a restart."""
        return cls()


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there shall be, why (in words and as a condition reason), and what limited it."""

    replicas: int
    reason: str
    code: str
    limited_by: str | None = None


def constrain(
    state: ConstrainState, observation: Observation, sizing: Sizing, limits: Limits
) -> tuple[ConstrainState, Decision]:
    """Return the next state and the decision for what a policy wants."""
    state = _remembered(state, observation, limits)
    decision = Decision(sizing.replicas, sizing.reason, sizing.code)
    decision = _bounded(decision, limits)
    decision = _safe_to_shrink(decision, observation, sizing, limits)
    decision = _fallen_back(decision, state, observation, limits)
    state, decision = _stabilized(decision, state, observation, limits)
    decision = _paced(decision, state, observation, limits)
    return state, _bounded(decision, limits)


def _fresh(observation: Observation, limits: Limits) -> bool:
    age = observation.metrics_age_seconds
    return age is not None and age <= limits.stale_after_seconds


def _remembered(state: ConstrainState, observation: Observation, limits: Limits) -> ConstrainState:
    """Note a change of replicas by its effect, whoever made it, and since when metrics are missing."""
    now, changes = observation.now, state.changes
    if state.last_current is not None and observation.current != state.last_current:
        changes = (*changes, Change(now, observation.current - state.last_current))
    longest = max(limits.behavior.up.longest_period, limits.behavior.down.longest_period)
    lost = state.metrics_lost_at
    if _fresh(observation, limits):
        lost = None
    elif lost is None:
        lost = now - (observation.metrics_age_seconds or 0.0)
    return replace(
        state,
        changes=tuple(change for change in changes if change.at > now - longest),
        last_current=observation.current,
        metrics_lost_at=lost,
        seen_at=now if state.seen_at is None else state.seen_at,
    )


def _limited(
    decision: Decision, replicas: int, limited_by: str, why: str, code: str | None = None
) -> Decision:
    return Decision(replicas, f"{decision.reason}; {why}", code or decision.code, limited_by)


def _bounded(decision: Decision, limits: Limits) -> Decision:
    if decision.replicas > limits.max_replicas:
        why = f"maxReplicas is {limits.max_replicas}, wanted {decision.replicas}"
        return _limited(decision, limits.max_replicas, "maxReplicas", why, "TooManyReplicas")
    if decision.replicas < limits.min_replicas:
        why = f"minReplicas is {limits.min_replicas}"
        return _limited(decision, limits.min_replicas, "minReplicas", why)
    return decision


def _safe_to_shrink(decision: Decision, observation: Observation, sizing: Sizing, limits: Limits) -> Decision:
    current = min(observation.current, limits.max_replicas)  # above the maximum is never kept
    if decision.replicas >= current:
        return decision
    if not _fresh(observation, limits):
        age = observation.metrics_age_seconds
        known = "there are no metrics" if age is None else f"metrics are {age:.0f} s old"
        return _limited(decision, current, "staleMetrics", f"held at {current}: {known}", "MetricsStale")
    if sizing.hold_down:
        return _limited(decision, current, "policy", f"held at {current}")
    return decision if sizing.unguarded else _survivable(decision, current, observation, limits)


def _survivable(decision: Decision, current: int, observation: Observation, limits: Limits) -> Decision:
    """Shrink only as far as the survivors stand N/(N-k) of the load, and not while anyone waits."""
    if observation.waiting_requests:
        why = f"held at {current}: {observation.waiting_requests:.0f} requests wait"
        return _limited(decision, current, "waitingRequests", why, "RequestsWaiting")
    loads = [
        max(i.projected_peak, i.kv_usage or 0.0) for i in observation.serving if i.projected_peak is not None
    ]
    if len(loads) < max(1, observation.ready):
        why = f"held at {current}: {len(loads)} of {observation.ready} ready instances report their load"
        return _limited(decision, current, "telemetry", why, "TelemetryIncomplete")
    standing = (n for n in range(decision.replicas, current) if _load_on(n, loads) <= limits.survivor_level)
    replicas = next(standing, None)
    if replicas is None:
        level, most = _load_on(current - 1, loads), limits.survivor_level
        why = f"held at {current}: survivors would reach {level:.0%} of KV, limit {most:.0%}"
        return _limited(decision, current, "survivors", why, "SurvivorsOverloaded")
    if replicas > decision.replicas:
        why = f"{replicas} are kept so that survivors stay at {_load_on(replicas, loads):.0%} of KV"
        return _limited(decision, replicas, "survivors", why)
    return decision


def _load_on(replicas: int, loads: list[float]) -> float:
    """Return the share of KV each of `replicas` would have if they took all; none can take only nothing."""
    total = sum(loads)
    if replicas == 0:
        return 0.0 if total == 0 else math.inf
    return total / replicas


def _fallen_back(
    decision: Decision, state: ConstrainState, observation: Observation, limits: Limits
) -> Decision:
    if limits.fallback_replicas is None or state.metrics_lost_at is None:
        return decision
    missing = observation.now - state.metrics_lost_at
    if missing < limits.fallback_after_seconds or decision.replicas >= limits.fallback_replicas:
        return decision
    why = f"metrics are missing for {missing:.0f} s, so the fallback of {limits.fallback_replicas}"
    return _limited(decision, limits.fallback_replicas, "fallback", why, "Fallback")


def _stabilized(
    decision: Decision, state: ConstrainState, observation: Observation, limits: Limits
) -> tuple[ConstrainState, Decision]:
    """Apply the stabilization windows: up to the least, down to the most that was wanted within them.

    After a restart nothing shrinks until one whole window has been seen, so nothing jumps.
    """
    now, current = observation.now, observation.current
    up, down = (
        limits.behavior.up.stabilization_window_seconds,
        limits.behavior.down.stabilization_window_seconds,
    )
    kept = tuple((at, n) for at, n in state.recommendations if at > now - max(up, down))
    state = replace(state, recommendations=(*kept, (now, decision.replicas)))
    least = min([decision.replicas, *(n for at, n in kept if at > now - up)])
    most = max([decision.replicas, *(n for at, n in kept if at > now - down)])
    if down > 0 and state.seen_at is not None and now - state.seen_at < down:
        most = max(most, min(current, limits.max_replicas))
    if decision.replicas > current and least < decision.replicas:
        replicas = max(current, least)
        why = f"{replicas} for now: scale-up stabilizes over {up:.0f} s"
        return state, _limited(decision, replicas, "behavior.scaleUp.stabilizationWindowSeconds", why)
    if decision.replicas < current and most > decision.replicas:
        replicas = min(current, most)
        why = f"{replicas} for now: scale-down stabilizes over {down:.0f} s"
        return state, _limited(
            decision, replicas, "behavior.scaleDown.stabilizationWindowSeconds", why, "ScaleDownStabilized"
        )
    return state, decision


def _paced(decision: Decision, state: ConstrainState, observation: Observation, limits: Limits) -> Decision:
    """Apply the rate policies of `behavior`."""
    now, current = observation.now, observation.current
    if decision.replicas > current >= limits.min_replicas:
        most = highest_allowed(limits.behavior.up, current, state.changes, now)
        if decision.replicas > most:
            why = f"{most:.0f} for now: scale-up policies"
            return _limited(decision, int(most), "behavior.scaleUp.policies", why, "ScaleUpLimited")
    if decision.replicas < current <= limits.max_replicas:
        least = lowest_allowed(limits.behavior.down, current, state.changes, now)
        if decision.replicas < least:
            why = f"{least:.0f} for now: scale-down policies"
            return _limited(decision, int(least), "behavior.scaleDown.policies", why, "ScaleDownLimited")
    return decision
