"""How fast replicas may change: Kubernetes' HPA `behavior`, as users know it from autoscaling/v2."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most `value` pods, or percent of the replicas, within `period_seconds`."""

    type: Literal["Pods", "Percent"]
    value: int
    period_seconds: float

    def __post_init__(self) -> None:
        if self.type not in ("Pods", "Percent"):
            raise ValueError(f"behavior policy type is {self.type!r}: use Pods or Percent")
        if self.value < 1 or not self.period_seconds > 0:
            raise ValueError(
                f"behavior policy has value {self.value} and periodSeconds "
                f"{self.period_seconds}: both must be positive"
            )


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one direction; no policies = as fast as wanted."""

    stabilization_window_seconds: float = 0.0
    policies: tuple[RatePolicy, ...] = ()
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"

    def __post_init__(self) -> None:
        if self.stabilization_window_seconds < 0:
            raise ValueError(
                f"stabilizationWindowSeconds is {self.stabilization_window_seconds}: give 0 or more seconds"
            )
        if self.select_policy not in ("Max", "Min", "Disabled"):
            raise ValueError(f"selectPolicy is {self.select_policy!r}: use Max, Min or Disabled")

    @property
    def longest_period(self) -> float:
        """The longest period that any policy looks back over, seconds."""
        return max((policy.period_seconds for policy in self.policies), default=0.0)


DEFAULT_UP = Rules(0.0, (RatePolicy("Percent", 100, 15), RatePolicy("Pods", 4, 15)), "Max")
DEFAULT_DOWN = Rules(300.0, (RatePolicy("Percent", 100, 15),), "Max")


@dataclass(frozen=True, slots=True)
class Behavior:
    """Rules up and down; the defaults are those of autoscaling/v2."""

    up: Rules = DEFAULT_UP
    down: Rules = DEFAULT_DOWN


@dataclass(frozen=True, slots=True)
class Change:
    """A change of replicas that was made: when, and by how many (positive = up)."""

    at: float
    delta: int


def highest_allowed(rules: Rules, current: int, changes: tuple[Change, ...], now: float) -> float:
    """Return the most replicas that the rate policies allow now (infinite without any)."""
    if rules.select_policy == "Disabled":
        return current
    if not rules.policies:
        return math.inf
    limits = [_ceiling(policy, current, changes, now) for policy in rules.policies]
    return max(current, max(limits) if rules.select_policy == "Max" else min(limits))


def lowest_allowed(rules: Rules, current: int, changes: tuple[Change, ...], now: float) -> float:
    """Return the fewest replicas that the rate policies allow now (zero without any)."""
    if rules.select_policy == "Disabled":
        return current
    if not rules.policies:
        return 0
    limits = [_floor(policy, current, changes, now) for policy in rules.policies]
    return min(current, min(limits) if rules.select_policy == "Max" else max(limits))


def _ceiling(policy: RatePolicy, current: int, changes: tuple[Change, ...], now: float) -> int:
    start = current - _net(changes, now - policy.period_seconds)
    if policy.type == "Pods":
        return start + policy.value
    return math.ceil(start * (1 + policy.value / 100))


def _floor(policy: RatePolicy, current: int, changes: tuple[Change, ...], now: float) -> int:
    start = current - _net(changes, now - policy.period_seconds)
    if policy.type == "Pods":
        return max(0, start - policy.value)
    return max(0, math.floor(start * (1 - policy.value / 100)))


def _net(changes: tuple[Change, ...], since: float) -> int:
    """Return by how much replicas have changed since then."""
    return sum(change.delta for change in changes if change.at > since)
