"""Intervals are Student's, differences are paired, and what is undefined stays undefined."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_simulator.statistics import Estimate, estimates, paired, rounded, student_t

numbers = st.integers(-(10**6), 10**6).map(float)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (30, 2.0423)]
)
def test_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    """The 97.5 % quantiles of Student's t agree with printed tables to four decimals."""
    assert student_t(degrees) == pytest.approx(quantile, abs=5e-5)


def test_an_interval_worked_by_hand() -> None:
    """Of 1, 2, 3: mean 2, standard error 0.577, two degrees of freedom."""
    told = Estimate.of([1.0, 2.0, 3.0])
    assert told.mean == 2.0
    assert told.half_width == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    assert told.as_json() == {"mean": 2.0, "ci95": [-0.484138, 4.48414]}


def test_one_run_and_none_have_no_interval() -> None:
    """One value has a mean only; undefined values are left out, and none at all are null."""
    assert Estimate.of([5.0]).as_json() == {"mean": 5.0, "ci95": [None, None]}
    assert Estimate.of([5.0, None, math.nan]).mean == 5.0
    assert Estimate.of([None]).as_json() == {"mean": None, "ci95": [None, None]}


@given(st.lists(numbers, min_size=2, max_size=6), numbers)
def test_what_chance_does_to_all_alike_falls_out(baseline: list[float], gain: float) -> None:
    """A system that is better by the same in every seed has a difference without any doubt."""
    runs = [{"x": value + gain} for value in baseline]
    told = paired(runs, [{"x": value} for value in baseline])["x"]["difference"]
    assert told.mean == pytest.approx(gain, abs=1e-6)
    assert told.half_width == pytest.approx(0, abs=1e-6)


def test_relative_differences_are_to_the_baseline() -> None:
    """Half the cost in both seeds is -50 %; a baseline of zero has no relative difference."""
    told = paired([{"x": 5.0}, {"x": 10.0}], [{"x": 10.0}, {"x": 20.0}])["x"]["relative"]
    assert told.as_json() == {"mean": -0.5, "ci95": [-0.5, -0.5]}
    assert paired([{"x": 5.0}], [{"x": 0.0}])["x"]["relative"].mean is None


def test_a_metric_that_some_runs_lack_is_estimated_from_the_others() -> None:
    """A figure that is undefined in one seed is estimated from those that have it."""
    assert estimates([{"x": 1.0, "y": None}, {"x": 3.0, "y": 2.0}])["y"].mean == 2.0


@given(numbers)
def test_rounding_keeps_six_digits(value: float) -> None:
    """What is written is within half a unit of the sixth digit."""
    assert rounded(value) == pytest.approx(value, rel=5.1e-6)
