"""HoltWinters: additive level, damped trend and season by exponential smoothing (Holt 1957, Winters 1960).

The smoothing weights are chosen from a small grid by the one-step errors so far, anew at each origin, so
that a backtest never profits from what came later. Compact and without a dependency; ours.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from presage_predictors.controls.statistical import Floats, Statistical

DAMPING = 0.9  # of the trend per window: a ramp is not believed for ever
GRID = np.array(list(product((0.1, 0.3, 0.6), (0.0, 0.1), (0.1, 0.3))))  # level, trend, season weights
LEAST_WINDOWS = 8
SEASONS_FOR_SEASON = 2  # whole seasons before a season is believed; without them level and trend serve
MAX_SEASONS = 7  # older history is left out


@dataclass(slots=True)
class Smoothing:
    """The state of every grid point: level and trend [grid], season [season, grid], squared errors [grid]."""

    level: Floats
    trend: Floats
    season: Floats
    errors: Floats

    def update(self, value: float, phase: int) -> None:
        """Take in the next window's rate; an absent one only moves the level along its trend."""
        expected = self.level + DAMPING * self.trend
        if not np.isfinite(value):
            self.level = expected
            self.trend = DAMPING * self.trend
            return
        error = value - expected - self.season[phase]
        alpha, beta, gamma = GRID.T
        self.level = expected + alpha * error
        self.trend = DAMPING * self.trend + alpha * beta * error
        if len(self.season) > 1:
            self.season[phase] += gamma * (1 - alpha) * error
        self.errors = self.errors + error**2

    def path(self, phases: NDArray[np.int64]) -> Floats:
        """Return the coming windows' rates by the grid point with the least error so far, shape [steps]."""
        best = int(np.argmin(self.errors))
        damped = np.cumsum(DAMPING ** np.arange(1, len(phases) + 1))
        return np.asarray(
            self.level[best] + damped * self.trend[best] + self.season[phases, best], dtype=float
        )


class HoltWinters(Statistical):
    """Triple exponential smoothing that stands gaps."""

    name = "HoltWinters"

    def __init__(self, season_seconds: float = 86400.0) -> None:
        if not season_seconds > 0:
            raise ValueError(f"seasonSeconds is {season_seconds}: give a positive number of seconds")
        self.season_seconds = season_seconds

    def least_windows(self, window_seconds: float) -> int:  # noqa: ARG002 - the protocol's
        """Return how many windows make a level and a trend."""
        return LEAST_WINDOWS

    def paths(self, values: Floats, origins: NDArray[np.int64], steps: int, window_seconds: float) -> Floats:
        """Return the forecasts made at each origin, in one pass over the history."""
        season = self._season(len(values), int(origins[0]), window_seconds)
        begin = max(0, int(origins[0]) - MAX_SEASONS * season) if season > 1 else 0
        state = _started(values[begin : begin + max(season, LEAST_WINDOWS)], season)
        wanted = {int(origin): row for row, origin in enumerate(origins)}
        paths = np.full((len(origins), steps), np.nan)
        for index in range(begin, int(origins[-1]) + 1):
            if index in wanted:
                paths[wanted[index]] = state.path((index + np.arange(steps) - begin) % season)
            if index < len(values):
                state.update(float(values[index]), (index - begin) % season)
        return paths

    def _season(self, known: int, first: int, window_seconds: float) -> int:
        """Return the season in windows; 1 (none) until enough whole seasons precede the origins."""
        season = max(1, round(self.season_seconds / window_seconds))
        enough = min(known, first + season) >= SEASONS_FOR_SEASON * season
        return season if enough and first >= season else 1


def _started(first: Floats, season: int) -> Smoothing:
    """Start from the first season: its mean is the level, what is left is the season."""
    points = len(GRID)
    present = np.isfinite(first)
    level = float(first[present].mean()) if present.any() else 0.0
    shape = np.where(present, first - level, 0.0)[:season] if season > 1 else np.zeros(1)
    return Smoothing(
        np.full(points, level), np.zeros(points), np.repeat(shape[:, None], points, axis=1), np.zeros(points)
    )
