"""BestOf serves who was best on this very series, and says who."""

import numpy as np
import pytest
from presage_policies.forecasting import Forecast, TokenSeries
from presage_predictors.controls import LastValue, SeasonalLevel
from presage_predictors.selection import BestOf

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
    """A series of another nature is served by another forecaster."""
    for values, name in ([10.0] * 200, "ten"), ([10.0] * 200 + [50.0] * 144, "fifty"):
        forecast = BestOf([Fixed("ten", 10.0), Fixed("fifty", 50.0)]).forecast(series(values), 3, 0.0)
        assert forecast is not None
        assert forecast.model == name


def test_whoever_cannot_forecast_is_passed_over() -> None:
    """A forecaster without enough history does not keep another from serving; nobody is None."""
    short = series([5.0] * 10)
    forecast = BestOf([SeasonalLevel(DAY * WINDOW), LastValue()]).forecast(short, 3, 10 * WINDOW)
    assert forecast is not None
    assert forecast.model == "LastValue"
    assert BestOf([Fixed("none", None)]).forecast(short, 3, 10 * WINDOW) is None


def test_seasons_beat_the_last_value_on_a_wave() -> None:
    """On a daily wave the seasonal control has the lower loss and serves."""
    t = np.arange(5 * DAY)
    wave = series(list(1000 + 800 * np.sin(2 * np.pi * t / DAY)))
    best = BestOf([LastValue(), SeasonalLevel(DAY * WINDOW)])
    forecast = best.forecast(wave, 6, wave.end)
    assert forecast is not None
    assert forecast.model == "SeasonalLevel"
    assert best.scores["SeasonalLevel"] < best.scores["LastValue"]


def test_what_was_forecast_live_is_what_is_judged() -> None:
    """As windows come in, a model that was right about them takes over from one that was right before."""
    best = BestOf([Fixed("ten", 10.0), Fixed("fifty", 50.0)])
    served = []
    for windows in range(30, 80):
        values = [10.0] * min(windows, 40) + [50.0] * max(0, windows - 40)
        forecast = best.forecast(series(values), 3, windows * WINDOW)
        assert forecast is not None
        served.append(forecast.model)
    assert served[0] == "ten"
    assert served[-1] == "fifty"
    assert served == sorted(served, reverse=True)  # it changes its mind once


def test_asking_again_changes_nothing() -> None:
    """Within a window the same forecast comes back, and is judged once."""
    best = BestOf([LastValue(), Fixed("ten", 10.0)])
    first = best.forecast(series([10.0] * 30), 3, 30 * WINDOW)
    scores = best.scores
    again = best.forecast(series([10.0] * 30), 3, 30 * WINDOW + 5)
    assert first is not None
    assert again is not None
    assert first.model == again.model
    assert best.scores == scores


def test_nobody_is_refused() -> None:
    """BestOf without forecasters is a mistake and says so."""
    with pytest.raises(ValueError, match="at least 1"):
        BestOf([])
