"""Figures of outcomes made by hand are those worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_simulator.metrics import DEFINITIONS, Fates, fates, percentile, request_figures, smooth_benefit
from presage_simulator.pool_figures import against, scale_ups, share_in_time, together

from .outcomes import outcome, steps

NEVER = math.nan
times = st.floats(0.01, 100)
requests = st.tuples(st.just(0.0), times, times, st.integers(1, 500)).map(
    lambda r: (r[0], r[1], r[1] + r[2], r[3])
)


def told(*entries: tuple[float, float, float, int]) -> Fates:
    """Return the fates of requests (at, TTFT, E2E, output tokens)."""
    made = outcome(entries)
    return fates(made, made.workload)


def test_attainment_counts_everyone_and_percentiles_only_who_finished() -> None:
    """Of four, one is late, one slow, one turned away: a quarter met, and the tail is of three."""
    figures = request_figures(
        told((0, 0.5, 1.4, 10), (1, 2.0, 2.9, 10), (2, 0.5, 2.5, 11), (3, NEVER, NEVER, 10)), seconds=10
    )
    assert figures["requests"] == 4
    assert figures["failed"] == 1
    assert figures["slo_attainment"] == 0.25
    assert figures["goodput"] == pytest.approx(0.1)
    assert figures["ttft_p50_ms"] == pytest.approx(500)
    assert figures["ttft_p99_ms"] == pytest.approx(2000)
    assert figures["tpot_p99_ms"] == pytest.approx(200)
    assert figures["e2e_p50_ms"] == pytest.approx(2500)
    assert figures["normalised_latency"] == pytest.approx((0.14 + 0.29 + 2.5 / 11) / 3)
    assert figures["queue_seconds_mean"] == pytest.approx(0.5)


def test_nothing_finished_has_no_percentiles() -> None:
    """Percentiles of nothing are undefined, never zero; attainment is zero."""
    figures = request_figures(told((0, NEVER, NEVER, 5)), seconds=10)
    assert figures["ttft_p99_ms"] is None
    assert figures["normalised_latency"] is None
    assert figures["slo_attainment"] == 0


def test_every_figure_of_a_pool_or_request_is_defined_in_words() -> None:
    """Each figure's name, or its family's with a star, has a definition."""
    families = [name.removesuffix("*") for name in DEFINITIONS if name.endswith("*")]
    for name in request_figures(told((0, 1, 2, 5)), seconds=10):
        assert name in DEFINITIONS or name.startswith(tuple(families)), name


def test_percentiles_are_by_nearest_rank() -> None:
    """The median of four is the second, the 99th percentile the last; NaN counts for nothing."""
    values = np.array([4.0, 1.0, NEVER, 3.0, 2.0])
    assert percentile(values, 50) == 2
    assert percentile(values, 99) == 4
    assert percentile(values, 1) == 1


@given(requests, st.floats(0, 50))
def test_delay_never_pays(request_: tuple[float, float, float, int], delay: float) -> None:
    """A request that is served later is never worth more in smooth goodput."""
    at, ttft, e2e, tokens = request_
    prompt, late = told(request_), told((at, ttft + delay, e2e + delay, tokens))
    assert smooth_benefit(late)[0] <= smooth_benefit(prompt)[0] + 1e-9


@given(requests)
def test_turning_away_never_pays(request_: tuple[float, float, float, int]) -> None:
    """A request that is turned away is never worth more than one that is served late."""
    at, _, _, tokens = request_
    assert smooth_benefit(told((at, NEVER, NEVER, tokens)))[0] <= smooth_benefit(told(request_))[0]


def test_smooth_goodput_worked_by_hand() -> None:
    """Ten tokens in time are worth ten; two seconds late at 0.1 s a token, twenty fewer, at least none."""
    in_time, half_second_late, far_too_late = (0, 1.0, 1.5, 10), (0, 1.5, 2.0, 10), (0, 3.0, 3.1, 10)
    benefit = smooth_benefit(told(in_time, half_second_late, far_too_late))
    assert benefit == pytest.approx([10, 5, 0])


def test_waste_and_want_against_foresight() -> None:
    """One pod too many for 10 s is waste, one ready pod too few for 5 s is want."""
    needed = steps((0, 1, 1), (20, 2, 2))
    own = steps((0, 2, 2), (10, 1, 1), (20, 2, 1), (25, 2, 2))
    assert against(own, needed, 100) == (10, 5)
    assert against(needed, needed, 100) == (0, 0)


def test_only_the_slice_counts_for_waste() -> None:
    """Pods that are kept after the slice's end are not held against anyone."""
    assert against(steps((0, 3, 3)), steps((0, 1, 1)), 30) == (60, 0)


def test_a_scale_up_is_in_time_when_its_pods_precede_the_load() -> None:
    """Ready in second 50 for load that comes in 60 is in time; in 130 for 120 it is late."""
    line = steps((0, 1, 1), (30, 2, 1), (50, 2, 2), (110, 3, 2), (130, 3, 3))
    ups = scale_ups(line, np.array([80.0, 150.0, 250.0]), 60, 100)
    assert [(up.before, up.after, up.ready, up.needed) for up in ups] == [(1, 2, 50, 60), (2, 3, 130, 120)]
    assert share_in_time(ups) == 0.5
    assert share_in_time([]) is None


def test_a_scale_up_after_a_descent_is_judged_by_the_new_rise() -> None:
    """A service that shrank is judged by the load after it shrank, not by the rise before."""
    line = steps((0, 2, 2), (70, 1, 1), (100, 2, 1), (110, 2, 2))
    up = scale_ups(line, np.array([150.0, 50.0, 150.0]), 60, 100)[0]
    assert (up.ready, up.needed, up.in_time) == (110, 120, True)


def test_replicas_of_several_services_add_up() -> None:
    """At every time the total is the sum over services."""
    total = together([steps((0, 1, 1), (10, 3, 1)), steps((0, 2, 2), (5, 1, 1))])
    assert total.at.tolist() == [0, 5, 10]
    assert total.current.tolist() == [3, 2, 4]
    assert total.ready.tolist() == [3, 2, 2]
