"""Queues whose mean response theory knows, and the same queues simulated on the brain's orders."""

import pytest
from presage_policies.queueing.service import first_come, shortest_remaining
from presage_simulator.queueing_theory import DISCIPLINES, Discipline, simulate_queue

LOAD = 0.8
REQUESTS = 8_000_000


@pytest.mark.parametrize("discipline", DISCIPLINES, ids=lambda discipline: discipline.name)
def test_simulated_mean_response_is_the_published_one_within_a_percent(discipline: Discipline) -> None:
    """M/M/1 at load 0.8 has the mean response of arXiv 2503.07545, simulated."""
    assert simulate_queue(discipline, LOAD, REQUESTS, seed=1).mean == pytest.approx(
        discipline.published, rel=0.01
    )


@pytest.mark.parametrize("discipline", DISCIPLINES, ids=lambda discipline: discipline.name)
@pytest.mark.parametrize("load", [0.3, 0.6])
def test_simulated_mean_response_is_the_exact_one(discipline: Discipline, load: float) -> None:
    """At other loads, too, the exact mean response lies within twice the simulation's 95 % interval."""
    responses = simulate_queue(discipline, load, 1_000_000, seed=2)
    assert abs(responses.mean - discipline.exact(load)) < 2 * responses.half_width
    assert responses.half_width < 0.01 * responses.mean


def test_exact_responses_are_the_published_ones() -> None:
    """The derived SRPT mean is the published one to four decimals, SPRPT's within a percent."""
    fifo, srpt, sprpt = (discipline.exact(LOAD) for discipline in DISCIPLINES)
    assert fifo == pytest.approx(5.0)
    assert srpt == pytest.approx(2.3528, abs=5e-5)
    assert sprpt == pytest.approx(3.1168, rel=0.01)


def test_same_seed_gives_the_same_mean() -> None:
    """A simulation is the same to the last bit in its seed, and another with another seed."""
    first, again, other = (simulate_queue(DISCIPLINES[2], LOAD, 10_000, seed=s).mean for s in (5, 5, 6))
    assert first == again
    assert first != other


def test_what_outlived_its_prediction_is_not_preempted() -> None:
    """A request that had all the service it was expected to need goes before any newcomer."""
    assert shortest_remaining(0.0, expected=1.0, attained=1.5) == 0.0
    assert shortest_remaining(9.0, expected=0.1, attained=0.0) > 0.0
    assert first_come(3.0, expected=0.1, attained=0.0) == 3.0


@pytest.mark.parametrize(("load", "requests"), [(1.0, 100), (0.0, 100), (0.5, 3)])
def test_bad_input_is_named(load: float, requests: int) -> None:
    """A load that no queue stands, and too few requests, are refused by name."""
    with pytest.raises(ValueError, match=r"(load|requests) is"):
        simulate_queue(DISCIPLINES[0], load, requests, seed=0)
