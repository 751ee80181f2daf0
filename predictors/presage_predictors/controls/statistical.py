"""What the statistical controls share: quantiles from their own past errors, gaps, stale series.

A model says only which point forecasts it would have made at past origins; how far those were off says
how wide its quantiles must be. (Ours.)
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from presage_policies.forecasting import Forecast, TokenSeries

Floats = NDArray[np.float64]

LEVELS: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
MAX_ORIGINS = 48  # past origins whose errors count: recent ones, so that quantiles follow the times
MIN_ERRORS = 8  # fewer say little: the assumed errors below stand in
ASSUMED_ERRORS = (-0.5, -0.4, -0.2, 0.0, 0.25, 0.5, 0.7, 1.0)  # relative, at LEVELS
FLOOR_SHARE = 0.05  # errors are relative to the forecast, but at least to this share of the mean rate
STALE_STEPS = 12  # a series that ended more windows ago is no ground for a forecast


class Statistical(ABC):
    """A forecaster made of a point forecast and its own past errors. Rates in tokens per second."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The model's name."""

    @abstractmethod
    def least_windows(self, window_seconds: float) -> int:
        """Return how many windows of history it needs before its first forecast."""

    def forecast(self, series: TokenSeries, steps: int, now: float) -> Forecast | None:
        """Forecast `steps` windows from the one that contains `now`; None without enough, or fresh, history.

        Raises ValueError when steps is below 1.
        """
        if steps < 1:
            raise ValueError(f"steps is {steps}: forecast at least 1 window")
        passed = max(0, int((now - series.end) // series.window_seconds))
        if passed > STALE_STEPS:
            return None
        prompt = self._quantiles(series.prompt, passed + steps, series.window_seconds)
        output = self._quantiles(series.output, passed + steps, series.window_seconds)
        if prompt is None or output is None:
            return None
        begin = series.end + passed * series.window_seconds
        return Forecast(
            self.name, begin, series.window_seconds, LEVELS, prompt[:, passed:], output[:, passed:]
        )

    @abstractmethod
    def paths(self, values: Floats, origins: NDArray[np.int64], steps: int, window_seconds: float) -> Floats:
        """Return the point forecasts made at each origin, shape [origins, steps]; NaN = could not.

        An origin is how many windows were known: the forecast at origin o may use values[:o] only.
        """

    def _quantiles(self, values: Floats, steps: int, window_seconds: float) -> Floats | None:
        """Return the quantiles, shape [levels, steps]; None when there is no point forecast."""
        known = _cleaned(values)
        last, least = len(known), self.least_windows(window_seconds)
        if last < least or not np.isfinite(known).any():
            return None
        first = max(least, last - MAX_ORIGINS)
        paths = self.paths(known, np.arange(first, last + 1), steps, window_seconds)
        point = np.maximum(paths[-1], 0.0)
        if not np.isfinite(point).all():
            return None
        floor = max(FLOOR_SHARE * float(np.nanmean(known)), 1e-9)
        errors = _error_quantiles(known, paths[:-1], first, floor)
        bands = point + errors * np.maximum(point, floor)
        return np.asarray(np.sort(np.maximum(bands, 0.0), axis=0), dtype=float)


def _cleaned(values: Floats) -> Floats:
    """Treat what no rate can be (infinite, negative) as absent."""
    return np.where(np.isfinite(values) & (values >= 0), values, np.nan)


def _error_quantiles(values: Floats, paths: Floats, first: int, floor: float) -> Floats:
    """Return quantiles of the relative errors of past forecasts, shape [levels, steps]."""
    origins, steps = paths.shape
    columns = []
    for step in range(steps):
        actual = values[first + step :][:origins]
        made = np.maximum(paths[: len(actual), step], 0.0)
        errors = (actual - made) / np.maximum(made, floor)
        errors = errors[np.isfinite(errors)]
        if len(errors) >= MIN_ERRORS:
            columns.append(np.quantile(errors, LEVELS))
        else:  # too far ahead for this history: at least as wide as one step nearer
            columns.append(columns[-1] if columns else np.array(ASSUMED_ERRORS))
    return np.stack(columns, axis=1)
