"""Statistical forecasts: right on what they model, honest in their quantiles, calm about gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from presage_policies.forecasting import Forecaster, TokenSeries
from presage_predictors.controls import HoltWinters, LastValue, SeasonalLevel

WINDOW, DAY = 600.0, 48  # a short season keeps the tests fast
SEASON = DAY * WINDOW
ALL: list[Forecaster] = [LastValue(), SeasonalLevel(SEASON), HoltWinters(SEASON)]
Floats = NDArray[np.float64]


def series(values: Floats) -> TokenSeries:
    """Return a series with these prompt rates and a fifth of them as output rates."""
    return TokenSeries(WINDOW, len(values) * WINDOW, values, values / 5)


def diurnal(days: float, noise: float = 0.0, seed: int = 0) -> Floats:
    """Return a day's wave of 200 to 1,800 tokens/s with relative noise."""
    t = np.arange(int(days * DAY))
    wave = 1000 + 800 * np.sin(2 * np.pi * t / DAY)
    return wave * (1 + noise * np.random.default_rng(seed).standard_normal(len(t)))


@pytest.mark.parametrize("forecaster", ALL, ids=lambda f: f.name)
def test_a_constant_stays_constant(forecaster: Forecaster) -> None:
    """A rate that never changes is forecast as itself, at every level and step."""
    forecast = forecaster.forecast(series(np.full(3 * DAY, 500.0)), 6, 3 * SEASON)
    assert forecast is not None
    assert forecast.model == forecaster.name
    assert forecast.prompt == pytest.approx(np.full(forecast.prompt.shape, 500.0))
    assert forecast.output == pytest.approx(np.full(forecast.output.shape, 100.0))


@pytest.mark.parametrize("forecaster", [SeasonalLevel(SEASON), HoltWinters(SEASON)], ids=lambda f: f.name)
def test_a_season_is_foreseen(forecaster: Forecaster) -> None:
    """Hours ahead in a daily wave the median is within 10 % of the truth, where the last value is far off."""
    truth = diurnal(5)
    known = truth[: int(4.25 * DAY)]
    forecast = forecaster.forecast(series(known), 12, len(known) * WINDOW)
    assert forecast is not None
    ahead = truth[len(known) : len(known) + 12]
    assert forecast.at(0.5)[0] == pytest.approx(ahead, rel=0.1)
    assert abs(known[-1] / ahead[-1] - 1) > 0.3


def test_today_may_be_busier() -> None:
    """Twice yesterday's level so far means twice yesterday's shape to come."""
    truth = diurnal(3)
    truth[2 * DAY :] *= 2
    known = truth[: int(2.3 * DAY)]
    forecast = SeasonalLevel(SEASON).forecast(series(known), 6, len(known) * WINDOW)
    assert forecast is not None
    assert forecast.at(0.5)[0] == pytest.approx(truth[len(known) : len(known) + 6], rel=0.1)


@pytest.mark.parametrize("forecaster", ALL, ids=lambda f: f.name)
def test_quantiles_cover_what_they_say(forecaster: Forecaster) -> None:
    """Over many days of a noisy wave about 90 % of windows lie below the P90 of one step ahead."""
    truth = diurnal(14, noise=0.1, seed=5)
    below = []
    for origin in range(4 * DAY, len(truth) - 1, 8):
        forecast = forecaster.forecast(series(truth[:origin]), 1, origin * WINDOW)
        assert forecast is not None
        below.append(truth[origin] <= forecast.at(0.9)[0][0])
    assert np.mean(below) == pytest.approx(0.9, abs=0.07)


@pytest.mark.parametrize("forecaster", ALL, ids=lambda f: f.name)
def test_gaps_are_not_zeros(forecaster: Forecaster) -> None:
    """Absent windows, even the last ones, do not pull the forecast towards zero."""
    known = np.full(4 * DAY, 500.0)
    known[DAY : DAY + 7] = np.nan
    known[3 * DAY - 1] = np.nan
    known[-2:] = np.nan
    forecast = forecaster.forecast(series(known), 4, 4 * SEASON)
    assert forecast is not None
    assert forecast.at(0.5)[0] == pytest.approx(np.full(4, 500.0), rel=0.05)


rates = st.lists(
    st.one_of(
        st.floats(0, 1e6),
        st.just(float("nan")),
        st.just(0.0),
        st.just(float("inf")),
        st.just(-1.0),
    ),
    max_size=130,
)


@pytest.mark.parametrize("forecaster", ALL, ids=lambda f: f.name)
@settings(max_examples=25, deadline=None)
@given(values=rates, steps=st.integers(1, 60), late=st.integers(0, 20))
def test_any_series_gives_quantiles_or_none(
    forecaster: Forecaster, values: list[float], steps: int, late: int
) -> None:
    """Whatever the series holds, the forecast is None, or finite, non-negative and rising by level."""
    past = series(np.array(values, dtype=float))
    forecast = forecaster.forecast(past, steps, past.end + late * WINDOW)
    if forecast is None:
        return
    for kind in (forecast.prompt, forecast.output):
        assert kind.shape == (len(forecast.levels), steps)
        assert np.isfinite(kind).all()
        assert (kind >= 0).all()
        assert (np.diff(kind, axis=0) >= -1e-9).all()


@pytest.mark.parametrize("forecaster", ALL, ids=lambda f: f.name)
def test_the_past_alone_decides(forecaster: Forecaster) -> None:
    """A forecast from a cut series is the same whatever was cut off: nothing looks ahead."""
    truth = diurnal(6, noise=0.1)
    cut = int(3.5 * DAY)
    other = truth.copy()
    other[cut:] = 9e9
    made = [forecaster.forecast(series(v[:cut]), 6, cut * WINDOW) for v in (truth, other)]
    assert made[0] is not None
    assert made[1] is not None
    assert (made[0].prompt == made[1].prompt).all()


def test_a_late_look_skips_what_has_passed() -> None:
    """When the last window ended a while ago the forecast begins at the window that contains now."""
    forecast = LastValue().forecast(series(np.full(20, 5.0)), 3, 20 * WINDOW + 2.5 * WINDOW)
    assert forecast is not None
    assert forecast.generated_at == 22 * WINDOW
    assert LastValue().forecast(series(np.full(20, 5.0)), 3, 60 * WINDOW) is None


def test_too_little_history_is_none() -> None:
    """A seasonal control without a season, and any without a value, has no forecast."""
    assert SeasonalLevel(SEASON).forecast(series(np.ones(DAY)), 3, SEASON) is None
    assert HoltWinters(SEASON).forecast(series(np.ones(3)), 3, 3 * WINDOW) is None
    assert LastValue().forecast(series(np.full(5, np.nan)), 3, 5 * WINDOW) is None


def test_nonsense_is_refused() -> None:
    """No season and no steps are refused by name."""
    for make in (SeasonalLevel, HoltWinters):
        with pytest.raises(ValueError, match="seasonSeconds is 0"):
            make(0)
    with pytest.raises(ValueError, match="steps is 0"):
        LastValue().forecast(series(np.ones(5)), 0, 0.0)
