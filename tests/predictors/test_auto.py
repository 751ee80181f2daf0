"""Auto: as good as the best there is for a series, honest in its quantiles, calm about odd data."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from presage_policies.forecasting import Forecast, TokenSeries
from presage_predictors.auto.blend import Blend
from presage_predictors.auto.calibration import Calibration
from presage_predictors.auto.fleet import MODELS, PRIOR, Fleet
from presage_predictors.auto.forecaster import Auto, between_knots, knots
from presage_predictors.controls.statistical import LEVELS
from presage_predictors.mlstm.artefact import shipped
from presage_predictors.mlstm.network import Network

WINDOW, DAY = 600.0, 48  # a short season keeps the tests fast
SEASON = DAY * WINDOW
Floats = NDArray[np.float64]
NETWORK = shipped().network()


def auto() -> Auto:
    """Return a forecaster with the shipped weights."""
    return Auto(lambda: NETWORK, SEASON)


def series(values: Floats) -> TokenSeries:
    """Return a series with these prompt rates and a fifth of them as output rates."""
    return TokenSeries(WINDOW, len(values) * WINDOW, values, values / 5)


def diurnal(windows: int, noise: float = 0.05, seed: int = 0) -> Floats:
    """Return a day's wave of 200 to 1,800 tokens/s with relative noise."""
    t = np.arange(windows)
    wave = 1000 + 800 * np.sin(2 * np.pi * t / DAY)
    return np.asarray(wave * (1 + noise * np.random.default_rng(seed).standard_normal(windows)))


def made(values: Floats, steps: int = 6, late: float = 0.0) -> Forecast:
    """Return the forecast of a fresh forecaster; there must be one."""
    past = series(values)
    forecast = auto().forecast(past, steps, past.end + late * WINDOW)
    assert forecast is not None
    return forecast


def test_a_constant_stays_constant() -> None:
    """A rate that never changes is forecast as itself, within a hundredth."""
    forecast = made(np.full(3 * DAY, 500.0))
    assert forecast.at(0.5)[0] == pytest.approx(np.full(6, 500.0), rel=0.01)
    assert forecast.at(0.9)[1] == pytest.approx(np.full(6, 100.0), rel=0.1)


def test_an_hour_of_history_is_enough() -> None:
    """From six windows, or a single one, there is a forecast near what was last seen."""
    for count in (1, 6):
        forecast = made(np.full(count, 500.0))
        assert forecast.at(0.5)[0][0] == pytest.approx(500.0, rel=0.1)
        assert forecast.at(0.9)[0][0] > 500.0


def test_a_wave_is_foreseen_better_than_by_the_last_value() -> None:
    """On a daily wave the median an hour ahead is less than half as far off as the last value."""
    truth = diurnal(6 * DAY)
    fleet = Fleet(NETWORK, 1, WINDOW, DAY, knots(6))
    stated = fleet.learn(truth[None], len(truth) * WINDOW)[:, 0, LEVELS.index(0.5), -1]
    origins = np.arange(4 * DAY, len(truth) - 6)
    ours = np.abs(stated[origins - 1] - truth[origins + 5]).mean()
    last = np.abs(truth[origins - 1] - truth[origins + 5]).mean()
    assert ours < 0.5 * last


def test_living_through_windows_is_judging_them_afterwards() -> None:
    """Asked window by window, the forecast is that of one who was given the whole past at once."""
    truth = diurnal(3 * DAY)
    lived = auto()
    for count in range(2 * DAY, len(truth) + 1):
        forecast = lived.forecast(series(truth[:count]), 6, count * WINDOW)
    assert forecast is not None
    whole = made(truth)
    np.testing.assert_allclose(forecast.prompt, whole.prompt, rtol=1e-6)
    np.testing.assert_allclose(forecast.output, whole.output, rtol=1e-6)


def test_asking_again_changes_nothing() -> None:
    """Within a window the same forecast comes back."""
    truth, forecaster = diurnal(2 * DAY), auto()
    first = forecaster.forecast(series(truth), 3, len(truth) * WINDOW)
    again = forecaster.forecast(series(truth), 3, len(truth) * WINDOW + 100.0)
    assert first is not None
    assert again is not None
    assert (first.prompt == again.prompt).all()


def test_gaps_are_not_zeros() -> None:
    """Absent windows, even the last ones, do not pull the forecast towards zero."""
    known = np.full(4 * DAY, 500.0)
    known[DAY : DAY + 7] = np.nan
    known[-2:] = np.nan
    assert made(known).at(0.5)[0] == pytest.approx(np.full(6, 500.0), rel=0.05)


@pytest.mark.parametrize("factor", [5.0, 0.2], ids=["comes", "leaves"])
def test_a_huge_client_is_believed_within_two_hours(factor: float) -> None:
    """Twelve windows after the load has changed fivefold, the median is at the new level."""
    known = diurnal(5 * DAY, noise=0.02) * 0 + 500.0
    known[-12:] *= factor
    assert made(known).at(0.5)[0][0] == pytest.approx(500.0 * factor, rel=0.15)


def test_a_pause_ends_as_it_began() -> None:
    """Windows of zero load are believed while they last, and forgotten when the load is back."""
    known = np.full(4 * DAY, 500.0)
    known[-10:] = 0.0
    assert made(known).at(0.5)[0][0] < 100.0
    back = np.concatenate([known, np.full(6, 500.0)])
    assert made(back).at(0.5)[0][0] == pytest.approx(500.0, rel=0.15)


rates = st.lists(
    st.one_of(st.floats(0, 1e6), st.sampled_from([float("nan"), 0.0, float("inf"), -1.0])), max_size=70
)


@settings(max_examples=20)
@given(values=rates, steps=st.integers(1, 150), late=st.integers(0, 20))
def test_any_series_gives_quantiles_or_none(values: list[float], steps: int, late: int) -> None:
    """Whatever the series holds, the forecast is None, or finite, non-negative and rising by level."""
    past = series(np.array(values, dtype=float))
    forecast = auto().forecast(past, steps, past.end + late * WINDOW)
    if forecast is None:
        return
    for kind in (forecast.prompt, forecast.output):
        assert kind.shape == (len(LEVELS), steps)
        assert np.isfinite(kind).all()
        assert (kind >= 0).all()
        assert (np.diff(kind, axis=0) >= -1e-9).all()


def test_nothing_is_known_of_nothing() -> None:
    """Without a rate, or with a past that ended too long ago, there is no forecast; 0 steps are refused."""
    assert auto().forecast(TokenSeries.empty(WINDOW, 0.0), 3, 0.0) is None
    assert auto().forecast(series(np.full(5, np.nan)), 3, 5 * WINDOW) is None
    assert auto().forecast(series(np.full(20, 5.0)), 3, 60 * WINDOW) is None
    with pytest.raises(ValueError, match="steps is 0"):
        auto().forecast(series(np.ones(5)), 0, 0.0)
    with pytest.raises(ValueError, match="seasonSeconds is 0"):
        Auto(lambda: NETWORK, 0)


def test_a_late_look_skips_what_has_passed() -> None:
    """When the last window ended a while ago the forecast begins at the window that contains now."""
    forecast = made(diurnal(2 * DAY), steps=3, late=2.5)
    assert forecast.generated_at == (2 * DAY + 2) * WINDOW
    on_time = made(diurnal(2 * DAY), steps=5)
    np.testing.assert_allclose(forecast.prompt, on_time.prompt[:, 2:])


def test_new_weights_serve_from_the_next_window_on() -> None:
    """When the source gives another network, forecasts are those of one who always had it."""
    other = Network([{name: array * 0.5 for name, array in shipped().members[0].items()}])
    current = [NETWORK]
    forecaster = Auto(lambda: current[0], SEASON)
    truth = diurnal(2 * DAY)
    before = forecaster.forecast(series(truth), 3, len(truth) * WINDOW)
    current[0] = other
    after = forecaster.forecast(series(truth), 3, len(truth) * WINDOW)
    fresh = Auto(lambda: other, SEASON).forecast(series(truth), 3, len(truth) * WINDOW)
    assert before is not None
    assert after is not None
    assert fresh is not None
    assert (after.prompt == fresh.prompt).all()
    assert (after.prompt != before.prompt).any()


def test_who_was_right_is_believed_more() -> None:
    """The share of a model that is right grows, that of a wrong one shrinks, and gaps change nothing."""
    ahead = np.array([1])
    blend = Blend(1, PRIOR, ahead)
    said = np.full((1, len(MODELS), 1), 30.0)
    said[:, MODELS.index("LastValue")] = 10.0
    for value in [10.0] * 30 + [np.nan]:
        blend.judge(np.array([value]))
        before = blend.shares[0, :, 0]
        blend.mix(said, np.array([[10.0]]))
    assert before[MODELS.index("LastValue")] > 0.9
    assert before.sum() == pytest.approx(1.0)
    blend.judge(np.array([np.nan]))
    np.testing.assert_array_equal(blend.shares[0, :, 0], before)


@pytest.mark.parametrize("spread", [0.2, 1.0, 5.0])
def test_stated_quantiles_hold_whatever_was_claimed(spread: float) -> None:
    """Quantiles that begin much too narrow or wide cover 87 to 93 % at 90 % in the long run."""
    rng = np.random.default_rng(7)
    calibration = Calibration(1, LEVELS, np.array([1]))
    claimed = 100 + spread * np.array([-1.6, -1.3, -0.7, 0.0, 0.7, 1.3, 1.6, 2.3])[None, :, None]
    below = []
    for value in 100 + rng.standard_normal(3000):
        stated = calibration.state(claimed, np.ones((1, 1)))
        below.append(value <= stated[0, LEVELS.index(0.9), 0])
        calibration.judge(np.array([value]))
    assert 0.87 <= np.mean(below[500:]) <= 0.93


def test_a_miss_far_ahead_moves_its_quantile_less() -> None:
    """Windows forecast four ahead miss together, so each moves the quantile half as much as one ahead."""
    ahead = np.array([1, 4])
    calibration = Calibration(1, LEVELS, ahead)
    flat, unit = np.full((1, len(LEVELS), 2), 100.0), np.ones((1, 2))
    for _ in range(4):
        calibration.judge(np.array([np.nan]))
        calibration.state(flat, unit)
    calibration.judge(np.array([200.0]))
    near, far = calibration.state(flat, unit)[0, LEVELS.index(0.9)] - 100.0
    assert near == pytest.approx(2 * far)
    assert far > 0


def test_between_knots_it_is_linear() -> None:
    """Steps between two knots lie on the line between them, steps beyond the last stay level."""
    stated = np.array([1.0, 2.0, 3.0, 4.0, 8.0])
    ahead = np.array([1, 2, 3, 4, 6])
    assert between_knots(stated, ahead, 8) == pytest.approx([1, 2, 3, 4, 6, 8, 8, 8])


def test_the_forecast_names_who_serves() -> None:
    """The name is that of the most believed model, with the next where no one has most of the belief."""
    name = made(diurnal(3 * DAY)).model
    assert all(part in MODELS for part in name.split("+"))


def test_a_thousand_services_take_less_than_a_second() -> None:
    """One window of 1,000 services (prompt and output rates) is forecast in less than a second."""
    fleet = Fleet(NETWORK, 2000, WINDOW, 144, knots(12))
    rng = np.random.default_rng(0)
    fleet.learn(100 + rng.random((2000, 3)), 3 * WINDOW, judged=1)
    spent = []
    for count in range(4, 7):
        begin = time.process_time()
        stated = fleet.learn(100 + rng.random((2000, 1)), count * WINDOW)
        spent.append(time.process_time() - begin)
        assert stated.shape == (1, 2000, len(LEVELS), 7)
    assert min(spent) < 1.0  # the least: a neighbour on the same core is no fault of ours
