"""What the operator reports; written whole, by server-side apply."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from presage_crds.base import Reported, Timestamp, list_by
from presage_crds.pools import MAX_REPLICAS, DnsLabel

Count = Annotated[int, Field(ge=0, le=MAX_REPLICAS)]
Rate = Annotated[int, Field(ge=0, le=2_147_483_647)]
CamelCase = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Z][A-Za-z0-9]*$")]
Generation = Annotated[int, Field(ge=0)]


class ConditionType(StrEnum):
    """Conditions that the operator sets."""

    READY = "Ready"
    TARGET_RESOLVED = "TargetResolved"
    METRICS_AVAILABLE = "MetricsAvailable"
    FORECAST_READY = "ForecastReady"
    SCALING_ACTIVE = "ScalingActive"
    ROUTER_READY = "RouterReady"


class ConditionStatus(StrEnum):
    """State of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Reported):
    """One aspect of the service's state, as in `metav1.Condition`."""

    type: Annotated[str, Field(min_length=1, max_length=316, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    """`Ready` (the summary), `TargetResolved`, `MetricsAvailable`, `ForecastReady`, `ScalingActive`
    or `RouterReady`."""

    status: ConditionStatus
    """`True`, `False` or `Unknown`."""

    observed_generation: Generation = 0
    """Generation of the specification that this speaks of."""

    last_transition_time: Timestamp
    """When `status` last changed."""

    reason: CamelCase
    """Why, in one CamelCase word."""

    message: Annotated[str, Field(max_length=32_768)] = ""
    """Why, in words and figures."""


class PoolStatus(Reported):
    """State of one pool and the last decision about it."""

    name: DnsLabel
    """Name of the pool."""

    current_replicas: Count = 0
    """Replicas that the target has been asked for."""

    ready_replicas: Count = 0
    """Pods that are ready."""

    desired_replicas: Count = 0
    """Replicas that the last decision calls for."""

    reason: CamelCase | None = None
    """Why, in one CamelCase word."""

    message: Annotated[str, Field(max_length=2048)] | None = None
    """Why, in words and figures."""

    cold_start_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    """Measured P90 of the time from a pod's creation to its readiness; absent until measured."""

    last_scale_time: Timestamp | None = None
    """When the operator last changed the target's replicas."""


class ForecastStatus(Reported):
    """The forecast in force, at the chosen quantile, for its largest window within the horizon."""

    model: Annotated[str, Field(min_length=1, max_length=64)]
    """Forecaster that served."""

    generated_at: Timestamp
    """When it was made."""

    horizon_seconds: Annotated[int, Field(ge=0, le=172_800)]
    """How far ahead it was read: cold start plus one decision interval, or as specified."""

    quantile_percent: Annotated[int, Field(ge=50, le=99)]
    """Quantile that the rates are."""

    prompt_tokens_per_second: Rate
    """Prompt tokens per second."""

    generation_tokens_per_second: Rate
    """Output tokens per second."""

    tokens_per_second: Rate
    """Their sum; the column FORECAST."""

    error_percent: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Live error of the forecasts that served: sum of absolute errors over the sum of load (WAPE);
    absent until windows that were forecast a horizon ahead have ended."""

    coverage_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share of those windows that stayed within the stated 90 % quantile."""


class LLMServiceStatus(Reported):
    """Observed state of an LLMService."""

    observed_generation: Generation | None = None
    """Generation of the specification that this status speaks of."""

    replicas: Count | None = None
    """Replicas that the targets have been asked for; what `/scale` reports."""

    ready_replicas: Count | None = None
    """Pods that are ready."""

    desired_replicas: Count | None = None
    """Replicas that the last decision calls for."""

    selector: Annotated[str, Field(max_length=4096)] | None = None
    """Label selector of the pods, in text form; what `/scale` reports."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_by("type"))] = ()
    """State of each aspect; `Ready` is the summary."""

    pools: Annotated[tuple[PoolStatus, ...], Field(max_length=8, json_schema_extra=list_by("name"))] = ()
    """State of each pool."""

    forecast: ForecastStatus | None = None
    """The forecast in force; absent while there is none."""

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of that type, or None."""
        return next((condition for condition in self.conditions if condition.type == type_), None)

    def pool(self, name: str) -> PoolStatus | None:
        """Return the status of the pool of that name, or None."""
        return next((pool for pool in self.pools if pool.name == name), None)
