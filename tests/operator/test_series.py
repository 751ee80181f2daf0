"""Token rates per window: absent is not zero, and long ranges are asked in pieces."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_operator.prometheus import chunks, finite
from presage_operator.series import History, on_grid, output_demand

rates = st.lists(st.one_of(st.just(math.nan), st.floats(0, 1e6)), min_size=1, max_size=50)


@given(st.integers(0, 10**6), st.integers(0, 5000), st.integers(1, 600), st.integers(2, 700))
def test_chunks_cover_the_grid_once_and_stay_under_the_limit(
    start: int, points: int, step: int, limit: int
) -> None:
    """Every point of the grid is in exactly one chunk, and no chunk has more than the limit."""
    end = start + points * step
    asked = [list(range(first, last + 1, step)) for first, last in chunks(start, end, step, limit)]
    assert [at for chunk in asked for at in chunk] == list(range(start, end + 1, step))
    assert all(len(chunk) <= limit for chunk in asked)


def test_windows_without_an_answer_are_absent_and_not_zero() -> None:
    """A grid point that Prometheus did not answer is NaN; an answered zero stays zero."""
    grid = on_grid({10: 0.0, 30: 5.0}, [10, 20, 30])
    assert grid[0] == 0.0
    assert math.isnan(grid[1])
    assert grid[2] == 5.0


@given(rates)
def test_where_nothing_was_predicted_the_streamed_rate_stands_in(streamed: list[float]) -> None:
    """Without predictions, output demand is exactly what was streamed, absences included."""
    nothing = np.full(len(streamed), math.nan)
    np.testing.assert_array_equal(output_demand(nothing, np.array(streamed)), np.array(streamed))


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=30), st.floats(0.55, 1.9))
def test_predictions_are_scaled_to_what_was_streamed(predicted: list[float], bias: float) -> None:
    """A predictor that is wrong by a constant factor leaves demand at what was really streamed."""
    asked = np.array(predicted)
    np.testing.assert_allclose(output_demand(asked, asked * bias), asked * bias)


def test_under_overload_demand_is_what_was_asked_and_not_what_was_streamed() -> None:
    """When engines stream half of what arrives for a while, demand does not halve with them."""
    predicted = np.array([100.0] * 20 + [200.0] * 2)
    streamed = np.array([100.0] * 20 + [100.0] * 2)
    demand = output_demand(predicted, streamed)
    assert demand[-1] == pytest.approx(2 * demand[0])
    assert demand[-1] > 180


def test_an_unread_history_is_empty() -> None:
    """Before Prometheus has answered once, nothing is claimed about the past."""
    assert len(History(600, 86400).series()) == 0


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_only_numbers_count_as_measurements(value: float) -> None:
    """NaN and infinities from Prometheus count as absent."""
    assert finite(value) == (value if math.isfinite(value) else None)
