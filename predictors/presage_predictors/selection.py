"""Who forecasts: the model whose forecasts of the recent past were best, judged anew each window.

A model serves only while it beats the others on this service's own series; the forecast names it, so
the status can say so. (Ours.)
"""

from collections.abc import Sequence

import numpy as np
from presage_policies.forecasting import Forecast, Forecaster, TokenSeries

ORIGINS = 6  # past forecasts that are judged
SPREAD_WINDOWS = 144  # how far back they lie at most


class BestOf:
    """Chooses among forecasters by a rolling backtest; ties go to whoever is named first."""

    name = "BestOf"

    def __init__(self, forecasters: Sequence[Forecaster]) -> None:
        if not forecasters:
            raise ValueError("BestOf has no forecasters: give at least 1")
        self._forecasters = tuple(forecasters)
        self._scored_at: tuple[float, int, int] | None = None
        self._scores: dict[str, float] = {}

    @property
    def scores(self) -> dict[str, float]:
        """Return the last backtest: pinball loss by model, relative to the mean rate; lower is better."""
        return dict(self._scores)

    def forecast(self, series: TokenSeries, steps: int, now: float) -> Forecast | None:
        """Return the forecast of the best model that has one; None when none has."""
        key = (series.end, len(series), steps)
        if key != self._scored_at:
            self._scores = {f.name: backtest(f, series, steps) for f in self._forecasters}
            self._scored_at = key
        for forecaster in sorted(self._forecasters, key=lambda f: self._scores[f.name]):
            forecast = forecaster.forecast(series, steps, now)
            if forecast is not None:
                return forecast
        return None


def backtest(forecaster: Forecaster, series: TokenSeries, steps: int) -> float:
    """Return the mean pinball loss of past forecasts relative to the mean rate; infinite without any.

    Each forecast is made from a truncated series, so none sees what it is judged by.
    """
    newest = len(series) - 1
    oldest = max(1, len(series) - SPREAD_WINDOWS)
    if newest < oldest:
        return float("inf")
    losses = []
    for origin in np.unique(np.linspace(oldest, newest, ORIGINS).astype(int)):
        loss = _loss_at(forecaster, series, int(origin), steps)
        if np.isfinite(loss):
            losses.append(loss)
    return float(np.mean(losses)) if losses else float("inf")


def _loss_at(forecaster: Forecaster, series: TokenSeries, origin: int, steps: int) -> float:
    end = series.end - (len(series) - origin) * series.window_seconds
    past = TokenSeries(series.window_seconds, end, series.prompt[:origin], series.output[:origin])
    forecast = forecaster.forecast(past, steps, end)
    if forecast is None:
        return float("nan")
    kinds = ((forecast.prompt, series.prompt), (forecast.output, series.output))
    losses = [_pinball(made, truth[origin : origin + steps], forecast.levels) for made, truth in kinds]
    return float(np.mean(losses))


def _pinball(made: np.ndarray, truth: np.ndarray, levels: tuple[float, ...]) -> float:
    """Return the mean pinball loss over levels and the windows that are present, relative to their mean."""
    present = np.isfinite(truth)
    if not present.any():
        return float("nan")
    actual = truth[present]
    error = actual - made[:, : len(truth)][:, present]
    level = np.asarray(levels)[:, None]
    loss = np.maximum(level * error, (level - 1) * error).mean()
    return float(loss / max(actual.mean(), 1e-9))
