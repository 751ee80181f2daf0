"""Exponential smoothing of many series at once: level, damped trend, season (Holt 1957, Winters 1960).

The same laws and grid as the control `HoltWinters`, as a state that moves one window at a time.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DAMPING = 0.9  # of the trend per window, as in the control
PLAIN = np.array([(alpha, beta, 0.0) for alpha, beta in product((0.1, 0.3, 0.6), (0.0, 0.1))])
SEASONAL = np.array(list(product((0.1, 0.3, 0.6), (0.0, 0.1), (0.1, 0.3))))
FORGETTING = 1 - 1 / 512  # of the squared errors by which a grid point is chosen, per window


class Smoothing:
    """Every grid point's level and trend [rows, grid], season [rows, season, grid], squared errors."""

    def __init__(self, rows: int, season: int, grid: Floats) -> None:
        points = len(grid)
        self._grid = grid
        self._level = np.zeros((rows, points))
        self._trend = np.zeros((rows, points))
        self._season = np.zeros((rows, season, points), dtype=np.float32)
        self._errors = np.zeros((rows, points))

    def start(self, rows: Bools, season: Floats, phase: int) -> None:
        """Begin the chosen rows from one whole season, shape [rows, season], whose end has `phase`."""
        present = np.isfinite(season)
        count = np.maximum(present.sum(axis=1), 1)
        level = np.where(present, season, 0.0).sum(axis=1) / count
        shape = np.where(present, season - level[:, None], 0.0) if self._season.shape[1] > 1 else 0 * season
        turned = np.roll(shape, phase, axis=1)[:, : self._season.shape[1]]
        self._level[rows] = level[rows, None]
        self._trend[rows] = 0.0
        self._season[rows] = turned[rows][:, :, None]
        self._errors[rows] = 0.0

    def update(self, values: Floats, phase: int) -> None:
        """Take in the next window, shape [rows]; an absent rate only moves the level along its trend."""
        expected = self._level + DAMPING * self._trend
        seasonal = self._season[:, phase]
        error = values[:, None] - expected - seasonal
        error = np.where(np.isfinite(error), error, 0.0)
        alpha, beta, gamma = self._grid.T
        self._level = expected + alpha * error
        self._trend = DAMPING * self._trend + alpha * beta * error
        if self._season.shape[1] > 1:
            self._season[:, phase] = seasonal + gamma * (1 - alpha) * error
        self._errors = FORGETTING * self._errors + error**2

    def path(self, phase: int, ahead: NDArray[np.int64]) -> Floats:
        """Return the forecasts so many windows ahead by each row's best grid point, [rows, len(ahead)].

        `phase` is the phase of the first coming window (1 ahead).
        """
        best = np.argmin(self._errors, axis=1)
        rows = np.arange(len(best))
        damped = np.cumsum(DAMPING ** np.arange(1, int(ahead.max()) + 1))[ahead - 1]
        season = self._season[rows[:, None], (phase + ahead - 1) % self._season.shape[1], best[:, None]]
        level, trend = self._level[rows, best], self._trend[rows, best]
        return np.asarray(level[:, None] + damped * trend[:, None] + season, dtype=np.float64)
