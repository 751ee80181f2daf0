"""What a scaling policy sees and says: the protocol that PreServe, the HPA law and later ones speak.

Absent is None, never zero: a policy that cannot tell the two apart removes pods when a scrape fails.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from presage_policies.engine import EngineProfile
from presage_policies.forecasting import Forecast, TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.scaling.signals import ArrivalSignal, LatencySignal

MEASURED = (
    "overload",
    "projected_peak",
    "kv_usage",
    "requests",
    "prompt_rate",
    "output_rate",
    "slo_met",
    "finished",
)
SERVICE_WIDE = (
    "waiting_requests",
    "metrics_age_seconds",
    "mean_prompt_tokens",
    "mean_output_tokens",
    "inflight_requests",
)


def _undefined_is_absent(signal: object, names: tuple[str, ...]) -> None:
    """Turn NaN and infinities, which queries give for 0/0 and 1/0, into None: nothing is known."""
    for name in names:
        value = getattr(signal, name)
        if value is not None and not math.isfinite(value):
            object.__setattr__(signal, name, None)


@dataclass(frozen=True, slots=True)
class InstanceSignal:
    """What is known of one instance (pod); every figure may be None = absent, and NaN becomes None.

    `overload` = share of U[0:100] above 0.95; `projected_peak` and `kv_usage` = shares of KV;
    `requests` = in the engine now. Over the last window: `prompt_rate` and `output_rate` (tokens/s served),
    `finished` (requests) and `slo_met` (share of them that met every objective).
    """

    name: str
    ready: bool
    overload: float | None = None
    projected_peak: float | None = None
    kv_usage: float | None = None
    requests: float | None = None
    prompt_rate: float | None = None
    output_rate: float | None = None
    slo_met: float | None = None
    finished: float | None = None

    def __post_init__(self) -> None:
        _undefined_is_absent(self, MEASURED)


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a pool.

    `current` = replicas that the target asks for; `ready` = pods that serve. `series` = past demand
    (arrivals; output as predicted on arrival, or as streamed). `metrics_age_seconds` None = no metrics
    at all. `horizon_seconds` is cold start plus one decision interval unless given. Mean lengths are of
    recent requests, None when there were none. `engine` is the assumed engine model, which seeds capacity.
    `arrivals` and `latency` are of the whole service; `inflight_requests` = in engines and waiting.
    """

    now: float
    series: TokenSeries
    forecast: Forecast | None
    current: int
    ready: int
    instances: tuple[InstanceSignal, ...] = ()
    waiting_requests: float | None = None
    metrics_age_seconds: float | None = None
    cold_start_seconds: float = 60.0
    interval_seconds: float = 15.0
    mean_prompt_tokens: float | None = None
    mean_output_tokens: float | None = None
    engine: EngineProfile | None = None
    objectives: Objectives | None = None
    arrivals: ArrivalSignal | None = None
    latency: LatencySignal | None = None
    inflight_requests: float | None = None

    def __post_init__(self) -> None:
        _undefined_is_absent(self, SERVICE_WIDE)

    @property
    def horizon_seconds(self) -> float:
        """How far to look ahead: what is not asked for now comes one interval and a cold start later."""
        return self.cold_start_seconds + self.interval_seconds

    @property
    def serving(self) -> tuple[InstanceSignal, ...]:
        """The instances that are ready."""
        return tuple(instance for instance in self.instances if instance.ready)


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a policy wants: replicas, why in words, the figures behind it, and a condition reason.

    `hold_down` True = the policy cannot vouch for fewer than the current replicas (missing telemetry).
    `unguarded` True = it is to shrink as its own controller would let it: bounds, `behavior` and staleness
    hold, the check of survivors does not. Rivals are compared so, as their documentation has them.
    """

    replicas: int
    reason: str
    code: str
    figures: Mapping[str, float] = field(default_factory=dict)
    hold_down: bool = False
    unguarded: bool = False


State = TypeVar("State")


class ScalingPolicy(Protocol[State]):
    """Sizes a pool: pure in (state, observation), so that it can be replayed and simulated."""

    @property
    def name(self) -> str:
        """The policy's name in the API."""
        ...

    def initial(self) -> State:
        """Return the state before the first observation, or after a restart."""
        ...

    def size(self, state: State, observation: Observation) -> tuple[State, Sizing]:
        """Return the next state and how many replicas the policy wants, unconstrained."""
        ...
