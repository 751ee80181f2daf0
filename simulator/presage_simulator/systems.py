"""What serves the workload: the engines' pool, and the policies whose choice makes systems differ."""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from presage_policies.engine import EngineProfile
from presage_policies.forecasting import Forecast, TokenSeries
from presage_policies.scaling import Limits, ScalingPolicy

from presage_simulator.workload import Ints, Workload

P90_NORMAL = 1.2815515655446004  # standard normal quantile
Quantiles = NDArray[np.float32]
Binding = Literal["late", "early"]


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Seconds from a pod's creation to ready: lognormal by its median and 90th percentile.

    Equal percentiles make it constant. Raises ValueError when they are negative or fall.
    """

    p50_seconds: float
    p90_seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.p50_seconds <= self.p90_seconds:
            raise ValueError(
                f"cold_start has p50_seconds {self.p50_seconds!r} and p90_seconds {self.p90_seconds!r}: "
                "give 0 or more, and p90 no less than p50"
            )

    def draw(self, rng: np.random.Generator) -> float:
        """Return one pod's cold start, seconds."""
        normal = float(rng.standard_normal())
        if self.p50_seconds in {0.0, self.p90_seconds}:
            return self.p90_seconds
        sigma = np.log(self.p90_seconds / self.p50_seconds) / P90_NORMAL
        return float(self.p50_seconds * np.exp(sigma * normal))


@dataclass(frozen=True, slots=True)
class Pool:
    """Instances of one kind: `initial` are ready at the beginning."""

    profile: EngineProfile
    minimum: int
    maximum: int
    initial: int
    cold_start: ColdStart = ColdStart(60.0, 60.0)

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.initial <= self.maximum or self.maximum < 1:
            raise ValueError(
                f"pool has minimum {self.minimum}, initial {self.initial}, maximum {self.maximum}: "
                "give 0 <= minimum <= initial <= maximum, and a maximum of at least 1"
            )


@dataclass(frozen=True, slots=True)
class Routing:
    """How requests find an instance.

    `bids`: how many instances are asked, 0 = all. `age_seconds`: 0 = every signal is exact at the moment
    of asking; else all signals are copied every so many seconds and nothing that happened since is seen,
    the front's own placements included (there are as many fronts as instances, and a front knows of its
    own share only). `binding` late: what nobody has room for waits at the front, in `order`, and whoever
    gains room pulls; early: handed at once to the chosen engine, whose own queue is in `order`.
    """

    policy: str = "LeastBid"
    bids: int = 3
    age_seconds: float = 0.0
    binding: Binding = "late"
    order: str = "FCFS"
    max_waiting: int = 1024
    max_wait_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.bids < 0:
            raise ValueError(f"routing.bids is {self.bids}: give 1 or more, or 0 for all instances")
        if not self.age_seconds >= 0:
            raise ValueError(f"routing.age_seconds is {self.age_seconds!r}: give 0 (fresh) or more")
        if self.binding not in ("late", "early"):
            raise ValueError(f"routing.binding is {self.binding!r}: give late or early")
        if self.max_waiting < 0:
            raise ValueError(f"routing.max_waiting is {self.max_waiting}: give 0 (nobody waits) or more")
        if not self.max_wait_seconds > 0:
            raise ValueError(f"routing.max_wait_seconds is {self.max_wait_seconds!r}: give more than 0")


class LengthSource(Protocol):
    """Predicts response lengths. Only it sees lengths; policies see the quantiles that it returns."""

    @property
    def learns(self) -> bool:
        """Whether `observe` changes later predictions; one that does is asked in short slices."""
        ...

    def prepare(self, workload: Workload, seed: int) -> None:
        """Begin with a workload: forget everything that was learnt from another."""
        ...

    def predict(self, first: int, last: int) -> Quantiles:
        """Return shape [last - first, WIRE_LEVELS] quantiles of requests `first` to `last`, tokens."""
        ...

    def observe(self, indices: Ints, output_tokens: Ints) -> None:
        """Learn the lengths of responses that have ended."""
        ...


class ForecastTrack(Protocol):
    """Forecasts made in advance by rolling origin over the recorded demand; causal by construction."""

    @property
    def window_seconds(self) -> float:
        """The forecast's step, seconds."""
        ...

    def at(self, now: float) -> Forecast | None:
        """Return the forecast that was the latest at `now`; None while there was too little history."""
        ...


@dataclass(frozen=True)
class Scaler:
    """The operator's loop: every `interval_seconds`, on signals of the last scrape.

    `history` is the demand before the workload begins; it ends at 0 and sets the windows of demand.
    """

    policy: ScalingPolicy[Any]
    limits: Limits
    interval_seconds: float = 15.0
    scrape_seconds: float = 5.0
    forecasts: ForecastTrack | None = None
    history: TokenSeries = field(default_factory=lambda: TokenSeries.empty(60.0, 0.0))

    def __post_init__(self) -> None:
        for name in ("interval_seconds", "scrape_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"scaler.{name} is {getattr(self, name)!r}: give more than 0")


@dataclass(frozen=True)
class System:
    """One of the rivals; `scaler` None = the pool stays as it begins."""

    name: str
    routing: Routing
    lengths: LengthSource
    scaler: Scaler | None = None
