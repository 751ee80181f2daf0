"""The live record of forecasts: which one is judged, and what the figures mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.forecast_record import ForecastRecord
from presage_policies.forecasting import Forecast, TokenSeries

WINDOW = 60.0


def forecast_at(at: float, median: float, upper: float, steps: int = 3) -> Forecast:
    """Return a forecast whose every step is the same for both kinds."""
    rows = np.repeat(np.array([[median], [upper]]), steps, axis=1)
    return Forecast("Flat", at, WINDOW, (0.5, 0.9), rows, rows)


def series_until(end: float, *rates: float) -> TokenSeries:
    """Return a series of equal prompt and output rates whose last window ends at `end`."""
    return TokenSeries.of(WINDOW, end, rates, rates)


def test_error_and_coverage_of_one_window() -> None:
    """A median of 80 and an upper quantile of 90 against 100 is an error of 20 % that was not covered."""
    record = ForecastRecord().made(forecast_at(0.0, 80.0, 90.0, steps=1), 0.0)
    accuracy = record.judged(series_until(60.0, 100.0)).accuracy
    assert accuracy is not None
    assert (accuracy.windows, accuracy.wape, accuracy.coverage90) == (1, pytest.approx(0.2), 0.0)


def test_the_forecast_that_could_still_bring_pods_is_judged() -> None:
    """With a horizon of two windows, a forecast made at a window's own start does not count for it."""
    record = (
        ForecastRecord()
        .made(forecast_at(0.0, 50.0, 60.0), 120.0)
        .made(forecast_at(60.0, 100.0, 110.0), 120.0)
    )
    accuracy = record.judged(series_until(120.0, 100.0, 100.0)).accuracy
    assert accuracy is not None
    assert accuracy.windows == 1  # the window from 60 to 120 s; nothing was said in time of the one before
    assert accuracy.wape == pytest.approx(0.5)


def test_absent_windows_are_not_judged() -> None:
    """A window without a rate says nothing about a forecast."""
    record = ForecastRecord().made(forecast_at(0.0, 50.0, 60.0), 0.0)
    assert record.judged(series_until(60.0, float("nan"))).accuracy is None


def test_another_window_length_begins_anew() -> None:
    """What was judged in windows of another length is not mixed in."""
    record = ForecastRecord().made(forecast_at(0.0, 80.0, 90.0), 0.0).judged(series_until(60.0, 100.0))
    rows = np.ones((2, 1))
    assert record.made(Forecast("Flat", 600.0, 600.0, (0.5, 0.9), rows, rows), 0.0).accuracy is None


@given(st.lists(st.floats(min_value=1, max_value=1e6), min_size=1, max_size=40))
def test_perfect_forecasts_have_no_error(rates: list[float]) -> None:
    """Forecasts that come true have no error and full coverage, and no more windows are kept than asked."""
    record = ForecastRecord(keep=10)
    for number, rate in enumerate(rates):
        record = record.made(forecast_at(number * WINDOW, rate, rate, steps=1), 0.0)
        record = record.judged(series_until((number + 1) * WINDOW, *rates[: number + 1]))
    accuracy = record.accuracy
    assert accuracy is not None
    assert accuracy.windows == min(10, len(rates))
    assert accuracy.wape == pytest.approx(0.0, abs=1e-9)
    assert accuracy.coverage90 == 1.0
