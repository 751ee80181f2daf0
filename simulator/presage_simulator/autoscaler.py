"""The operator's loop in virtual time: observe, forecast, size, constrain, with the very same policies."""

from dataclasses import dataclass
from typing import Any

from presage_policies.engine import EngineProfile
from presage_policies.forecasting import Forecast, Forecaster, TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.scaling import (
    ConstrainState,
    Decision,
    InstanceSignal,
    Limits,
    Observation,
    ScalingPolicy,
    constrain,
)

from presage_simulator.demand import DemandMeter


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a pool is scaled. `history` ends at time 0 and sets the forecast's window."""

    policy: ScalingPolicy[Any]
    limits: Limits
    history: TokenSeries
    forecaster: Forecaster | None = None
    interval_seconds: float = 15.0

    def __post_init__(self) -> None:
        if self.history.end != 0.0:
            raise ValueError(
                f"the history ends at {self.history.end}: let it end at 0, where the replay begins"
            )


class Autoscaler:
    """Holds the states between ticks."""

    def __init__(
        self, scaling: Scaling, profile: EngineProfile, objectives: Objectives, cold_start_seconds: float
    ) -> None:
        self.scaling = scaling
        self.demand = DemandMeter(scaling.history)
        self._profile = profile
        self._objectives = objectives
        self._cold_start = cold_start_seconds
        self._state = scaling.policy.initial()
        self._constrained = ConstrainState.initial()
        self._forecast_from: float | None = None
        self._kept: Forecast | None = None

    def decide(
        self, now: float, current: int, instances: tuple[InstanceSignal, ...], waiting: int
    ) -> Decision:
        """Return how many replicas there shall be."""
        series = self.demand.series(now)
        lengths = self.demand.mean_lengths
        observation = Observation(
            now=now,
            series=series,
            forecast=self._forecast(series, now),
            current=current,
            ready=sum(instance.ready for instance in instances),
            instances=instances,
            waiting_requests=float(waiting),
            metrics_age_seconds=0.0,
            cold_start_seconds=self._cold_start,
            interval_seconds=self.scaling.interval_seconds,
            mean_prompt_tokens=None if lengths is None else lengths[0],
            mean_output_tokens=None if lengths is None else lengths[1],
            engine=self._profile,
            objectives=self._objectives,
        )
        self._state, sizing = self.scaling.policy.size(self._state, observation)
        self._constrained, decision = constrain(self._constrained, observation, sizing, self.scaling.limits)
        return decision

    def _forecast(self, series: TokenSeries, now: float) -> Forecast | None:
        """Forecast once a window: nothing new is known within it."""
        if self.scaling.forecaster is None:
            return None
        if series.end != self._forecast_from:
            steps = int((self._cold_start + self.scaling.interval_seconds) // series.window_seconds) + 2
            self._kept = self.scaling.forecaster.forecast(series, steps, now)
            self._forecast_from = series.end
        return self._kept
