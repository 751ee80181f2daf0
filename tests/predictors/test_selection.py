"""BestOf serves who was best on this very series, and says who."""

import numpy as np
import pytest
from presage_policies.forecasting import Forecast, TokenSeries
from presage_predictors.controls import LastValue, SeasonalLevel
from presage_predictors.selection import BestOf, backtest

WINDOW, DAY = 600.0, 48


class Fixed:
    """A forecaster that says the same rate always; None when the rate is."""

    def __init__(self, name: str, rate: float | None) -> None:
        self.name = name
        self.rate = rate

    def forecast(self, series: TokenSeries, steps: int, now: float) -> Forecast | None:
        """Return the fixed rate."""
        if self.rate is None:
            return None
        flat = np.full((1, steps), self.rate)
        return Forecast(self.name, now, series.window_seconds, (0.5,), flat, flat)


def series(values: list[float]) -> TokenSeries:
    """Return a series with equal prompt and output rates."""
    return TokenSeries.of(WINDOW, len(values) * WINDOW, values, values)


def test_the_better_one_serves_and_is_named() -> None:
    """Of a right and a wrong forecaster the right one serves, in whatever order they are given."""
    right, wrong = Fixed("right", 10.0), Fixed("wrong", 99.0)
    for order in ([right, wrong], [wrong, right]):
        forecast = BestOf(order).forecast(series([10.0] * 30), 3, 30 * WINDOW)
        assert forecast is not None
        assert forecast.model == "right"


def test_the_verdict_follows_the_series() -> None:
    """When the series changes its nature, another forecaster takes over."""
    best = BestOf([Fixed("ten", 10.0), Fixed("fifty", 50.0)])
    before = best.forecast(series([10.0] * 200), 3, 200 * WINDOW)
    after = best.forecast(series([10.0] * 200 + [50.0] * 144), 3, 344 * WINDOW)
    assert before is not None
    assert after is not None
    assert (before.model, after.model) == ("ten", "fifty")
    assert best.scores["fifty"] < best.scores["ten"]


def test_whoever_cannot_forecast_is_passed_over() -> None:
    """A forecaster without enough history does not keep another from serving; nobody is None."""
    short = series([5.0] * 10)
    forecast = BestOf([SeasonalLevel(DAY * WINDOW), LastValue()]).forecast(short, 3, 10 * WINDOW)
    assert forecast is not None
    assert forecast.model == "LastValue"
    assert BestOf([Fixed("none", None)]).forecast(short, 3, 10 * WINDOW) is None


def test_seasons_beat_the_last_value_on_a_wave() -> None:
    """On a daily wave the seasonal control has the lower backtest loss."""
    t = np.arange(5 * DAY)
    wave = series(list(1000 + 800 * np.sin(2 * np.pi * t / DAY)))
    assert backtest(SeasonalLevel(DAY * WINDOW), wave, 6) < backtest(LastValue(), wave, 6)


def test_nobody_is_refused() -> None:
    """BestOf without forecasters is a mistake and says so."""
    with pytest.raises(ValueError, match="at least 1"):
        BestOf([])
