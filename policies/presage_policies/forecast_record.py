"""How good the forecasts that served have been: their live error and coverage, judged as windows end.

A backtest says how a model would have done; what pods were moved by is the forecast that was in force
one horizon before a window ended, so that is the one judged here. (Ours.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from presage_policies.forecasting import Forecast, TokenSeries

UPPER = 0.9  # the quantile whose coverage is kept
KINDS = ("prompt", "output")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Live accuracy over the last windows.

    `wape` = Σ|median - actual| / Σ actual over both kinds of tokens; `coverage90` = share of (window, kind)
    whose actual rate did not exceed the stated 90 % quantile; `windows` = how many were judged.
    """

    windows: int
    wape: float
    coverage90: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What was expected of one window, per kind (tokens/s): median and upper quantile."""

    median: tuple[float, float]
    upper: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """One window's outcome, both kinds together (tokens/s): absolute error, actual rate, kinds covered."""

    error: float
    actual: float
    covered: int


@dataclass(frozen=True, slots=True)
class ForecastRecord:
    """Expectations that wait for their window to end, and the outcomes of those that have.

    A value: each step returns the next. Windows are numbered by their start / `window_seconds`; a record
    begins anew when the window's length changes.
    """

    keep: int = 144
    window_seconds: float = 0.0
    pending: Mapping[int, Expected] = field(default_factory=dict)
    outcomes: tuple[Judged, ...] = ()

    def made(self, forecast: Forecast, horizon_seconds: float) -> "ForecastRecord":
        """Note a forecast for each window that ends a horizon or more after it was made.

        A later forecast replaces an earlier one, so what stands when a window ends was made as late as a
        decision about that window could still bring pods.
        """
        window = forecast.window_seconds
        record = self if window == self.window_seconds else ForecastRecord(self.keep, window)
        median, upper = forecast.at(0.5), forecast.at(UPPER)
        first = round(forecast.generated_at / window)
        noted = {
            first + step: Expected(
                (float(median[0][step]), float(median[1][step])),
                (float(upper[0][step]), float(upper[1][step])),
            )
            for step in range(forecast.steps)
            if (step + 1) * window >= horizon_seconds
        }
        return replace(record, pending={**record.pending, **noted})

    def judged(self, series: TokenSeries) -> "ForecastRecord":
        """Judge every noted window that `series` knows, and drop those whose rate stayed absent."""
        if series.window_seconds != self.window_seconds:
            return self
        last = round(series.end / self.window_seconds) - 1
        ended = sorted(number for number in self.pending if number <= last)
        found = [_judge(self.pending[number], series, len(series) - 1 - (last - number)) for number in ended]
        outcomes = (*self.outcomes, *(judged for judged in found if judged is not None))
        return replace(
            self,
            pending={number: expected for number, expected in self.pending.items() if number > last},
            outcomes=outcomes[-self.keep :],
        )

    @property
    def accuracy(self) -> Accuracy | None:
        """The figures so far; None before any window with load was judged."""
        actual = sum(outcome.actual for outcome in self.outcomes)
        if actual <= 0:
            return None
        judged = len(self.outcomes)
        return Accuracy(
            judged,
            sum(outcome.error for outcome in self.outcomes) / actual,
            sum(outcome.covered for outcome in self.outcomes) / (len(KINDS) * judged),
        )


def _judge(expected: Expected, series: TokenSeries, index: int) -> Judged | None:
    """Compare with the window at `index`; None where its rate is not known."""
    if index < 0:
        return None
    actual = (float(series.prompt[index]), float(series.output[index]))
    if not np.isfinite(actual).all():
        return None
    return Judged(
        error=sum(abs(a - m) for a, m in zip(actual, expected.median, strict=True)),
        actual=sum(actual),
        covered=sum(a <= u for a, u in zip(actual, expected.upper, strict=True)),
    )
