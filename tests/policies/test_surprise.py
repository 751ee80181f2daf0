"""Surprises: what rose above what was foreseen, how long it is remembered, and when forecasts are trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.scaling.surprise import ENOUGH_OUTCOMES, Look, Rise, Rises, Surprises

LEAD = 100.0


def run(
    levels: list[float],
    *,
    foretold: list[float] | None = None,
    variance: float = 0.0,
    step: float = 10.0,
    percentile: float = 99.0,
) -> Surprises:
    """Return the memory after looks `step` seconds apart at these levels and forecasts."""
    memory = Surprises()
    for index, level in enumerate(levels):
        now, ahead = index * step, None if foretold is None else foretold[index]
        memory = memory.judged(now, level, LEAD, 0.9)
        look = Look(now, level, variance, level, ahead)
        memory = memory.seen(look, LEAD, percentile).looked(look)
    return memory


def test_a_step_is_a_rise_above_a_lead_time_ago() -> None:
    """From 2 to 4: two more may come again; half as much from a level of 1."""
    memory = run([2.0] * 20 + [4.0] * 5)
    assert memory.reserve(4.0, aided=False) == pytest.approx(2.0)
    assert memory.reserve(1.0, aided=False) == pytest.approx(1.0)


def test_the_beginning_is_no_surprise() -> None:
    """The first lead time has nothing to be compared with, so the first load is no rise."""
    assert run([5.0] * 30).reserve(5.0, aided=False) == pytest.approx(0.0)


def test_a_slow_ramp_is_a_rise_by_its_slope() -> None:
    """0.01 more each second is one more in a lead time of 100 s."""
    assert run([1 + 0.1 * i for i in range(60)]).reserve(7.0, aided=False) == pytest.approx(1.0)


def test_chance_is_no_rise() -> None:
    """A rise within three standard errors of both estimates does not count; beyond, it counts whole."""
    levels = [4.0] * 20 + [5.0] * 3
    assert run(levels, variance=0.1).reserve(4.0, aided=False) == pytest.approx(0.0)
    assert run(levels, variance=0.05).reserve(4.0, aided=False) == pytest.approx(1.0)


def test_memory_is_as_long_as_the_objectives_forgive() -> None:
    """At 99 % a surprise is remembered for 100 lead times, at 90 % for ten."""
    levels = [2.0] * 20 + [4.0] * 200
    assert run(levels, percentile=99.0).reserve(4.0, aided=False) == pytest.approx(2.0)
    assert run(levels, percentile=90.0).reserve(4.0, aided=False) == pytest.approx(0.0)


def test_a_good_forecast_earns_trust_and_leaves_no_surprise() -> None:
    """Told of every rise a lead time ahead, it is trusted after enough outcomes and needs no reserve."""
    levels = [4.0 if (i // 30) % 2 else 2.0 for i in range(300)]
    ahead = [max(levels[i : i + 11]) for i in range(300)]
    memory = run(levels, foretold=ahead)
    assert memory.outcomes >= ENOUGH_OUTCOMES
    assert memory.trusts_forecasts
    assert memory.reserve(2.0, aided=True) == pytest.approx(0.0)
    assert memory.reserve(2.0, aided=False) == pytest.approx(2.0)


def test_a_forecast_that_is_far_too_high_is_not_trusted() -> None:
    """Ten times the load foretold costs more than doing without."""
    memory = run([2.0] * 300, foretold=[20.0] * 300)
    assert memory.outcomes >= ENOUGH_OUTCOMES
    assert not memory.trusts_forecasts


def test_trust_needs_outcomes() -> None:
    """A forecast that was never put to the test is not trusted."""
    assert not run([2.0] * 15, foretold=[2.0] * 15).trusts_forecasts


def test_the_latest_estimate_of_a_rise_counts() -> None:
    """While a rise goes on its estimate improves: 3, then 2.2, then 2.0 is a rise of 2, not of 3."""
    memory = run([2.0] * 20 + [5.0, 4.2, 4.0, 4.0, 4.0] + [4.0] * 20)
    assert memory.reserve(4.0, aided=False) == pytest.approx(2.0)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0.1, 10)), max_size=30), st.floats(0, 100))
def test_no_rise_that_is_kept_is_needless(rises: list[tuple[float, float]], level: float) -> None:
    """Forgetting rises that later ones cover changes nothing about what is expected."""
    kept, every = Rises(), [Rise(float(i), a, r) for i, (a, r) in enumerate(rises)]
    for rise in every:
        kept = kept.noted(rise, 2 * rise.at, LEAD, 1e9).noted(None, 2 * rise.at + 1, LEAD, 1e9)
    expected = min(
        max((r.absolute for r in every), default=0.0), level * max((r.relative for r in every), default=0.0)
    )
    assert kept.expected(level) == pytest.approx(expected)
