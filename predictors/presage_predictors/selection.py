"""Who forecasts: the model whose forecasts of the recent past were best, judged anew each window.

A model serves only while it beats the others on this service's own series; the forecast names it, so
the status can say so. Forecasts are remembered as they are made and judged when the truth is in; before
there are any, ones from truncated history stand in. (Ours.)
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from presage_policies.forecasting import Forecast, Forecaster, TokenSeries

SEEDS = 6  # forecasts from truncated history that begin the memory
SPREAD_WINDOWS = 144  # how far back those lie at most
REMEMBERED = 24  # the latest forecasts that are judged


class BestOf:
    """Chooses among forecasters by their past forecasts; ties go to whoever is named first.

    Remembers what it has forecast, so give each service its own.
    """

    name = "BestOf"

    def __init__(self, forecasters: Sequence[Forecaster]) -> None:
        if not forecasters:
            raise ValueError("BestOf has no forecasters: give at least 1")
        self._forecasters = tuple(forecasters)
        self._made: dict[str, deque[Forecast]] = {f.name: deque(maxlen=REMEMBERED) for f in forecasters}
        self._seen: float | None = None
        self._scores: dict[str, float] = {}

    @property
    def scores(self) -> dict[str, float]:
        """Return the last verdict: pinball loss by model, relative to the mean rate; lower is better."""
        return dict(self._scores)

    def forecast(self, series: TokenSeries, steps: int, now: float) -> Forecast | None:
        """Return the forecast of the best model that has one; None when none has."""
        fresh = self._seen is None or series.end > self._seen
        if self._seen is None:
            for forecaster in self._forecasters:
                self._made[forecaster.name].extend(past_forecasts(forecaster, series, steps))
        if fresh:
            self._scores = {name: _mean_loss(made, series) for name, made in self._made.items()}
        self._seen = series.end if self._seen is None else max(self._seen, series.end)
        return self._best(series, steps, now, remember=fresh)

    def _best(self, series: TokenSeries, steps: int, now: float, *, remember: bool) -> Forecast | None:
        best = None
        for forecaster in sorted(self._forecasters, key=lambda f: self._scores[f.name]):
            if best is not None and not remember:
                break
            forecast = forecaster.forecast(series, steps, now)
            if forecast is not None and remember:
                self._made[forecaster.name].append(forecast)
            best = best or forecast
        return best


def past_forecasts(forecaster: Forecaster, series: TokenSeries, steps: int) -> list[Forecast]:
    """Return what the forecaster would have said at origins of the recent past, from what was known then."""
    newest, oldest = len(series) - 1, max(1, len(series) - SPREAD_WINDOWS)
    if newest < oldest:
        return []
    made = []
    for origin in np.unique(np.linspace(oldest, newest, SEEDS).astype(int)):
        end = series.end - (len(series) - origin) * series.window_seconds
        past = TokenSeries(series.window_seconds, end, series.prompt[:origin], series.output[:origin])
        made.append(forecaster.forecast(past, steps, end))
    return [forecast for forecast in made if forecast is not None]


def _mean_loss(made: Sequence[Forecast], series: TokenSeries) -> float:
    """Return the mean loss of those forecasts whose first windows have come; infinite without any."""
    losses = [loss for loss in (_loss(forecast, series) for forecast in made) if np.isfinite(loss)]
    return float(np.mean(losses)) if losses else float("inf")


def _loss(forecast: Forecast, series: TokenSeries) -> float:
    begin = series.end - len(series) * series.window_seconds
    first = round((forecast.generated_at - begin) / series.window_seconds)
    if first < 0 or first >= len(series):
        return float("nan")
    kinds = ((forecast.prompt, series.prompt), (forecast.output, series.output))
    losses = [_pinball(made, truth[first : first + forecast.steps], forecast.levels) for made, truth in kinds]
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
