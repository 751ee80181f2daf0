"""When the number of pods changes: mode, forecast, limits on speed, and what to do without data."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from presage_crds.base import Part, Rule
from presage_crds.pools import MAX_REPLICAS

MAX_WINDOWS = 11_000
"""The most windows of history that are read: Prometheus answers no more points to one query."""


class ScalingMode(StrEnum):
    """Who writes replicas."""

    RECOMMEND = "Recommend"
    AUTO = "Auto"
    EXTERNAL = "External"


class ScalingPolicyName(StrEnum):
    """Who sizes the pool."""

    PRESERVE = "PreServe"
    HPA = "HPA"


class ForecastModel(StrEnum):
    """Who forecasts the load."""

    AUTO = "Auto"
    SEASONAL_LEVEL = "SeasonalLevel"
    HOLT_WINTERS = "HoltWinters"
    LAST_VALUE = "LastValue"


class Forecast(Part):
    """How the token load is forecast."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.seasonSeconds >= 2 * self.windowSeconds",
            message="seasonSeconds must be at least two windows; raise it or lower windowSeconds",
            field="seasonSeconds",
            holds=lambda forecast: forecast.season_seconds >= 2 * forecast.window_seconds,
        ),
        Rule(
            cel="self.historySeconds >= self.seasonSeconds",
            message="historySeconds must be at least one season; raise it or lower seasonSeconds",
            field="historySeconds",
            holds=lambda forecast: forecast.history_seconds >= forecast.season_seconds,
        ),
    )

    model: ForecastModel = ForecastModel.AUTO
    """Who forecasts. `Auto`: whichever does best in the live backtest, named in the status.
    `SeasonalLevel`: the same time a season ago, at today's level. `HoltWinters`: level, trend and
    season, smoothed. `LastValue`: as now."""

    window_seconds: Annotated[int, Field(ge=1, le=3600)] = 600
    """Step of the forecast: load is averaged over windows of this length."""

    season_seconds: Annotated[int, Field(ge=2, le=2_678_400)] = 86_400
    """After how long load repeats: a day by default, 604800 for a week."""

    history_seconds: Annotated[int, Field(ge=2, le=31_622_400)] = 604_800
    """How far back load is read; no more than 11,000 windows of it."""

    quantile_percent: Annotated[int, Field(ge=50, le=99)] = 90
    """Pods are provided for this quantile of the forecast: higher is safer and dearer."""

    horizon_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """How far ahead. Left out: the measured cold start plus one decision interval, which is right
    unless nodes must be provisioned too."""

    @property
    def windows(self) -> int:
        """Number of windows of history to read."""
        return min(self.history_seconds // self.window_seconds, MAX_WINDOWS)


class HPATargets(Part):
    """Targets of the `HPA` policy: the HorizontalPodAutoscaler's law on two signals, largest wins."""

    kv_usage_percent: Annotated[int, Field(ge=1, le=100)] = 70
    """Average KV cache use to hold."""

    queued_requests_per_replica: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Average number of requests waiting per replica to hold."""


class StepType(StrEnum):
    """Unit of a step."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several steps counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class Step(Part):
    """The largest change within a period, as in HorizontalPodAutoscaler `behavior`."""

    type: StepType
    """`Pods`: a number of pods. `Percent`: a share of the present replicas."""

    value: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """How many pods, or how many percent."""

    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """Within how long."""


Steps = Annotated[
    tuple[Step, ...],
    Field(min_length=1, max_length=8, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
]


class ScaleUp(Part):
    """How fast pods may be added."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """The lowest recommendation of this long counts. Zero: the present one."""

    policies: Steps = (
        Step(type=StepType.PODS, value=4, period_seconds=15),
        Step(type=StepType.PERCENT, value=100, period_seconds=15),
    )
    """Limits; `selectPolicy` says which counts."""

    select_policy: SelectPolicy = SelectPolicy.MAX
    """`Max`: the limit that allows most; `Min`: least; `Disabled`: never add pods."""


class ScaleDown(Part):
    """How fast pods may be taken away."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    """The highest recommendation of this long counts. Zero: the present one."""

    policies: Steps = (Step(type=StepType.PERCENT, value=100, period_seconds=15),)
    """Limits; `selectPolicy` says which counts."""

    select_policy: SelectPolicy = SelectPolicy.MAX
    """`Max`: the limit that allows most; `Min`: least; `Disabled`: never take pods away."""


class Behavior(Part):
    """Limits on the speed of change, shaped as in HorizontalPodAutoscaler."""

    scale_up: ScaleUp = ScaleUp()
    """Limits on adding pods."""

    scale_down: ScaleDown = ScaleDown()
    """Limits on taking pods away."""


class Fallback(Part):
    """What to hold when load cannot be measured for long."""

    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """Replicas to raise the pool to, if it has fewer. A fallback never takes pods away."""

    after_seconds: Annotated[int, Field(ge=1, le=86_400)] = 180
    """For how long load must have been missing or stale."""


class External(Part):
    """Where another autoscaler reads the recommendation."""

    address: Annotated[
        str,
        Field(
            min_length=3,
            max_length=260,
            pattern=r"^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
        ),
    ]
    """`HOST:PORT` of the operator's metrics port as the other autoscaler reaches it, as in
    `presage-operator-metrics.presage-system:9090`; the status repeats it for whoever sets that
    autoscaler up."""


class Scaling(Part):
    """How many pods, and when."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.mode != 'External' || has(self.external)",
            message="mode External needs external.address: set the HOST:PORT where the other autoscaler"
            " reads the number, or choose mode Auto or Recommend",
            field="external",
            holds=lambda scaling: scaling.mode is not ScalingMode.EXTERNAL or scaling.external is not None,
        ),
    )

    mode: ScalingMode = ScalingMode.RECOMMEND
    """Who writes replicas. `Recommend`: nobody; the status says what would be done. `Auto`: the
    operator, through the target's `/scale`. `External`: another autoscaler (KEDA, or a
    HorizontalPodAutoscaler), which reads the number from the operator."""

    policy: ScalingPolicyName = ScalingPolicyName.PRESERVE
    """Who sizes the pool. `PreServe`: forecast load over measured capacity, corrected by the
    sidecars' anticipated overload. `HPA`: the reactive law of the HorizontalPodAutoscaler."""

    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """Time between two decisions."""

    forecast: Forecast = Forecast()
    """How the load is forecast."""

    cold_start_seconds: Annotated[int, Field(ge=1, le=7200)] = 180
    """Time from a pod's creation to its readiness, assumed until it has been measured."""

    hpa: HPATargets = HPATargets()
    """Targets of the `HPA` policy; unused by others."""

    behavior: Behavior = Behavior()
    """Limits on the speed of change."""

    fallback: Fallback | None = None
    """What to hold when load cannot be measured for long. Left out: what is there."""

    external: External | None = None
    """Where another autoscaler reads the number; needed by mode `External`."""
