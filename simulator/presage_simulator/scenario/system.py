"""A system to compare: forecaster, length predictor, router, queue order and scaler, with parameters."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from presage_simulator.scenario.part import Part
from presage_simulator.scenario.service import Name, Positive

Axis = Annotated[tuple[Any, ...], Field(min_length=1)]
Grid = dict[str, Axis] | tuple[dict[str, Any], ...]


class ForecastSpec(Part):
    """Who forecasts the token load."""

    model: Literal["Auto", "SeasonalLevel", "HoltWinters", "LastValue", "Perfect"] = "Auto"
    """As in the API; `Perfect` knows the coming windows, as a bound."""

    season_seconds: Positive = 86400.0
    """After how long load repeats."""


class LengthsSourceSpec(Part):
    """Who predicts output lengths."""

    source: Literal["History", "Prior", "Mean", "Oracle", "NoisyOracle"] = "History"
    """`History`: quantiles of finished requests. `Prior`: every response has the usual length; nothing is
    predicted. `Mean`: the true lengths' mean. `Oracle`: the truth, as a bound.
    `NoisyOracle`: the truth times a lognormal error."""

    sigma: Annotated[float, Field(ge=0, le=4)] = 0.0
    """Standard deviation of the logarithm of `NoisyOracle`'s error."""


class RoutingSpec(Part):
    """Who serves a request, and who waits for whom."""

    policy: str = "LeastBid"
    """Routing policy by its name."""

    bids: Annotated[int, Field(ge=0)] = 3
    """How many instances are asked; 0: all."""

    age_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Age of what the router knows of instances; 0: fresh."""

    binding: Literal["Late", "Early"] = "Late"
    """`Late`: who finds no room waits at the front until an instance gains room. `Early`: requests go to the
    chosen engine at once and wait in its queue."""

    order: str = "FCFS"
    """Order of who waits."""

    max_waiting: Annotated[int, Field(ge=0)] = 4096
    """Most requests that wait at fronts; more are turned away."""

    max_wait_seconds: Positive = 600.0
    """Longest wait; who waits longer is turned away."""


class RatePolicySpec(Part):
    """The largest change within a period, as in HorizontalPodAutoscaler `behavior`."""

    type: Literal["Pods", "Percent"]
    """Unit of `value`."""

    value: Annotated[int, Field(ge=1)]
    """How many pods, or how many percent."""

    period_seconds: Positive
    """Within how long."""


class RulesSpec(Part):
    """How fast replicas may change in one direction."""

    stabilization_window_seconds: Annotated[float, Field(ge=0)] = 0.0
    """Up: the lowest, down: the highest recommendation of this long counts."""

    policies: tuple[RatePolicySpec, ...] = ()
    """Limits; none: as fast as wanted."""

    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    """Which of several limits counts."""


class BehaviorSpec(Part):
    """Limits on the speed of change; a direction left out has the defaults of autoscaling/v2."""

    scale_up: RulesSpec | None = None
    """On adding pods."""

    scale_down: RulesSpec | None = None
    """On taking pods away."""


class ScalingSpec(Part):
    """How many pods, and when."""

    policy: str
    """Scaling policy by its name."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    """The policy's own parameters, in camelCase; those left out have the policy's defaults."""

    percentile: Annotated[float, Field(gt=0, lt=100)] | None = None
    """How many percent of requests it sizes for; what counts as met stays. Left out: the objectives'."""

    min_replicas: Annotated[int, Field(ge=0)] | None = None
    """Fewest replicas. Left out: the pool's."""

    max_replicas: Annotated[int, Field(ge=1)] | None = None
    """Most replicas. Left out: the pool's."""

    behavior: BehaviorSpec | None = None
    """Limits on the speed of change. Left out: the policy's own where it states some, else those of
    autoscaling/v2."""

    interval_seconds: Positive = 15.0
    """Time between two decisions."""

    scrape_seconds: Positive = 5.0
    """Time between two readings of the metrics that it sees."""


class SystemSpec(Part):
    """One row of the comparison, or one family of rows where it has a grid."""

    name: Name
    """The row's name."""

    forecast: ForecastSpec | None = None
    """Who forecasts the load. Left out: nobody."""

    lengths: LengthsSourceSpec = LengthsSourceSpec()
    """Who predicts output lengths."""

    routing: RoutingSpec = RoutingSpec()
    """Who serves a request."""

    scaling: ScalingSpec | None = None
    """Who sizes the pool. Left out: nobody; it stays as it begins."""

    replicas: Annotated[int, Field(ge=1)] | dict[str, Annotated[int, Field(ge=1)]] | None = None
    """Replicas at the start, for all services or by service. Left out: the pool's `initial`."""

    grid: Grid | None = None
    """Further settings, each a point of the system's front: dotted fields with lists of values (every
    combination), or a list of points."""

    @model_validator(mode="after")
    def _noisy(self) -> Self:
        if self.lengths.sigma and self.lengths.source != "NoisyOracle":
            raise ValueError(f"lengths.sigma belongs to NoisyOracle, not to {self.lengths.source}: remove it")
        return self

    def replicas_of(self, service: str, otherwise: int) -> int:
        """Return the replicas of a service at the start."""
        if isinstance(self.replicas, dict):
            return self.replicas.get(service, otherwise)
        return otherwise if self.replicas is None else self.replicas
