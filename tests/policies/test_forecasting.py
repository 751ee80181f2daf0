"""Token series and forecasts: absent is not zero, and the peak looks exactly as far as asked."""

import numpy as np
import pytest
from presage_policies.forecasting import Forecast, TokenRates, TokenSeries


def ramp() -> Forecast:
    """Return rates 1, 2, … 6 of both kinds at the median, twice that at the 0.9 quantile, 10 s windows."""
    steps = np.arange(1.0, 7.0)
    both = np.stack([steps, 2 * steps])
    return Forecast("ramp", 100.0, 10.0, (0.5, 0.9), both, both)


@pytest.mark.parametrize(
    ("horizon", "now", "expected"),
    [
        (10.0, None, 1.0),
        (10.1, None, 2.0),
        (10.0, 100.0, 1.0),
        (10.0, 105.0, 2.0),
        (10.0, 110.0, 2.0),
        (1e9, None, 6.0),
        (0.0, 1e9, 6.0),
    ],
)
def test_peak_covers_the_horizon(horizon: float, now: float | None, expected: float) -> None:
    """The peak is the largest window that overlaps now to now + horizon, and no other."""
    assert ramp().peak(0.5, horizon, now) == TokenRates(expected, expected)


def test_levels_are_interpolated() -> None:
    """A level between two quantiles lies linearly between them."""
    assert ramp().peak(0.7, 10.0).prompt == pytest.approx(1.5)


def test_absent_is_not_zero() -> None:
    """The latest level skips absent windows, and is unknown when all are absent."""
    series = TokenSeries.of(10.0, 30.0, [1.0, 3.0, float("nan")], [2.0, float("nan"), 4.0])
    assert series.latest(2) == TokenRates(3.0, 4.0)
    assert series.latest(1) is None
    assert TokenSeries.empty(10.0, 0.0).latest() is None


def test_shapes_are_checked() -> None:
    """Rates that do not fit together are refused with their shapes."""
    with pytest.raises(ValueError, match="one rate a window"):
        TokenSeries.of(10.0, 0.0, [1.0], [])
    with pytest.raises(ValueError, match="2 levels"):
        Forecast("x", 0.0, 10.0, (0.5, 0.9), np.ones((1, 3)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="1 step or more"):
        Forecast("x", 0.0, 10.0, (0.5,), np.ones((1, 0)), np.ones((1, 0)))
