"""What a run looked like over time, small enough to be drawn: for the report, not for the figures."""

from dataclasses import dataclass

import numpy as np
from presage_policies.scaling import Decision

from presage_simulator.metrics import Fates
from presage_simulator.results import Outcome, ReplicaSteps
from presage_simulator.sources import Load
from presage_simulator.systems import ForecastTrack
from presage_simulator.workload import Floats, Longs

BIN_SECONDS = 60.0
LEVELS = np.concatenate([np.linspace(0, 0.99, 100), 1 - np.geomspace(0.01, 0.0001, 40)[1:]])


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """One service under one system. Arrays a minute have shape [minutes], distributions [LEVELS]."""

    arrivals: Longs
    missed: Longs
    ttft_p95: Floats  # s; NaN = nothing finished that arrived then
    ttft: Floats  # s
    tpot: Floats  # s
    e2e: Floats  # s
    replicas: ReplicaSteps
    decisions: tuple[tuple[float, Decision], ...]
    window_seconds: float
    demand: Floats  # tokens/s a window
    forecast_at: Floats  # s, start of the window
    forecast_p50: Floats  # tokens/s, made as the window began
    forecast_p90: Floats

    @property
    def worst_minute(self) -> int | None:
        """The minute in which most requests arrived that missed their objectives; None when none did."""
        return int(np.argmax(self.missed)) if self.missed.any() else None

    def decisions_around(self, minute: int, before: float = 300.0) -> tuple[tuple[float, Decision], ...]:
        """Return what was decided in the minute and so many seconds before it; at least the last decision."""
        begin, end = minute * BIN_SECONDS - before, (minute + 1) * BIN_SECONDS
        known = [entry for entry in self.decisions if entry[0] < end]
        recent = [entry for entry in known if entry[0] >= begin]
        return tuple(recent or known[-1:])


def story_of(outcome: Outcome, told: Fates, load: Load, forecasts: ForecastTrack | None) -> Story:
    """Summarise one service's run over its load."""
    minutes = int(np.ceil(load.seconds / BIN_SECONDS))
    minute = np.minimum((outcome.workload.at // BIN_SECONDS).astype(np.int64), minutes - 1)
    at, middle, high = _forecast(forecasts, load.seconds)
    return Story(
        arrivals=np.bincount(minute, minlength=minutes),
        missed=np.bincount(minute[~told.met], minlength=minutes),
        ttft_p95=_by_minute(told.ttft, minute, minutes),
        ttft=_quantiles(told.ttft),
        tpot=_quantiles(told.tpot),
        e2e=_quantiles(told.e2e),
        replicas=outcome.replicas,
        decisions=_turns(outcome.decisions),
        window_seconds=load.history.window_seconds,
        demand=load.demand,
        forecast_at=at,
        forecast_p50=middle,
        forecast_p90=high,
    )


def _turns(decisions: tuple[tuple[float, Decision], ...]) -> tuple[tuple[float, Decision], ...]:
    """Return the decisions that changed something: other replicas, or another reason for the same."""
    kept: list[tuple[float, Decision]] = []
    for at, decision in decisions:
        last = kept[-1][1] if kept else None
        if last is None or (last.replicas, last.code) != (decision.replicas, decision.code):
            kept.append((at, decision))
    return tuple(kept)


def _by_minute(values: Floats, minute: Longs, minutes: int) -> Floats:
    percentiles = np.full(minutes, np.nan)
    edges = np.searchsorted(minute, np.arange(minutes + 1))
    for index in range(minutes):
        present = values[edges[index] : edges[index + 1]]
        present = present[np.isfinite(present)]
        if len(present):
            percentiles[index] = np.quantile(present, 0.95)
    return percentiles


def _quantiles(values: Floats) -> Floats:
    present = values[np.isfinite(values)]
    return np.quantile(present, LEVELS) if len(present) else np.full(len(LEVELS), np.nan)


def _forecast(forecasts: ForecastTrack | None, seconds: float) -> tuple[Floats, Floats, Floats]:
    if forecasts is None:
        return np.empty(0), np.empty(0), np.empty(0)
    starts = np.arange(0.0, seconds, forecasts.window_seconds)
    rows = []
    for start in starts:
        forecast = forecasts.at(start)
        if forecast is not None:
            rows.append((start, *(forecast.peak(level, 1.0, start).total for level in (0.5, 0.9))))
    columns = np.array(rows).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]
