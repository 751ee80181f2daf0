"""Queue orders: who goes first, by cases small enough to reckon by hand."""

import math
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.engine import EngineProfile, IterationCoefficients
from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives
from presage_policies.queueing import EDF, LeastSlack, Order, ShortestPredicted, Waiting, WaitingRoom
from presage_policies.queueing.least_slack import LATE_TURN

# A prompt of n tokens is prefilled in n ms, and 10 ms more for every 100 tokens that are begun.
PROFILE = EngineProfile("plain", IterationCoefficients(0.01, 0.001, 0.0, 0.0, 0.0), 4096, 16, 8, 100)
TEN_TOKENS = LengthDistribution.constant(10)


def waiting(
    name: str,
    arrived: float,
    *,
    prompt: int = 100,
    ttft: float = 1.0,
    length: LengthDistribution = TEN_TOKENS,
    deadline: float = math.inf,
) -> Waiting:
    """Return a request that waits."""
    return Waiting(name, arrived, prompt, length, Objectives(ttft, 0.05), deadline_seconds=deadline)


def room_of(order: Order, *requests: Waiting) -> WaitingRoom:
    """Return a room without bounds in which these wait."""
    room = WaitingRoom(order, 10_000, 1e9)
    for request in requests:
        assert room.admit(request)
    return room


def taken(order: Order, now: float, *requests: Waiting) -> list[str]:
    """Return the names in the order in which they are taken."""
    return [w.request_id for w in room_of(order, *requests).take(len(requests), now)]


def test_least_slack_starts_first_who_must_start_soonest() -> None:
    """Latest starts of 0.89, 0.50 and 0.79 s go by size, whoever arrived first."""
    requests = (
        waiting("short", 0.0),  # 0 + 1 - 0.11
        waiting("long", 0.05, prompt=500),  # 0.05 + 1 - 0.55
        waiting("strict", 0.1, ttft=0.8),  # 0.1 + 0.8 - 0.11
    )
    order = LeastSlack(PROFILE)
    assert [order.key(w, 0.1)[1] for w in requests] == pytest.approx([0.89, 0.50, 0.79])
    assert taken(order, 0.1, *requests) == ["long", "strict", "short"]


def test_least_slack_serves_the_late_last() -> None:
    """Who can no longer meet the deadline goes behind all who can, by arrival among the late."""
    requests = (
        waiting("late", 0.02, prompt=900),  # had to start at 0.02 + 1 - 0.99
        waiting("later", 0.03, prompt=950),  # 0.03 + 1 - 1.05, sooner than the other
        waiting("in time", 0.2),
    )
    assert taken(LeastSlack(PROFILE), 0.3, *requests) == ["in time", "late", "later"]


def test_least_slack_gives_up_on_nobody_too_soon() -> None:
    """At its latest start a request is still in time, and just after it is late."""
    order, request = LeastSlack(PROFILE), waiting("x", 0.0)
    start = order.key(request, 0.0)[1]
    assert order.key(request, start)[0] == 0
    assert order.key(request, math.nextafter(start, math.inf))[0] == 1


def test_least_slack_keeps_every_eighth_turn_for_the_late() -> None:
    """Of two late and fourteen in time, the eighth and the sixteenth taken are the late, the oldest first."""
    late = [waiting(name, arrived, prompt=1000) for name, arrived in (("old", 0.0), ("young", 0.1))]
    fresh = [waiting(f"fresh{i}", 0.2 + i / 1000) for i in range(14)]
    names = taken(LeastSlack(PROFILE), 0.3, *late, *fresh)
    assert (names[7], names[15]) == ("old", "young")
    assert [n for n in names if n.startswith("fresh")] == [w.request_id for w in fresh]


@given(st.lists(st.lists(st.integers(1, 1200), min_size=1, max_size=3), min_size=20, max_size=80))
def test_least_slack_lets_nobody_starve(steps: list[list[int]]) -> None:
    """A late request is served within eight turns for each that arrived no later, whatever else arrives."""
    order = LeastSlack(PROFILE)
    room, names = room_of(order, waiting("first", -1.0)), count()
    turns_left: dict[str, int] = {}
    for step, prompts in enumerate(steps):
        now = 0.05 * step
        for prompt in prompts:
            number = next(names)
            room.admit(waiting(str(number), now + number * 1e-9 - 1e-3, prompt=prompt))
        for request in room:
            if order.key(request, now)[0] == 1 and request.request_id not in turns_left:
                ahead = sum(other.arrived <= request.arrived for other in room)
                turns_left[request.request_id] = LATE_TURN * ahead
        served = {w.request_id for w in room.take(1, now)}
        turns_left = {name: left - 1 for name, left in turns_left.items() if name not in served}
        assert all(left > 0 for left in turns_left.values())


def test_edf_goes_by_deadline() -> None:
    """Deadlines are arrival and TTFT (2.0, 1.5), or the whole response's where one is given (10)."""
    requests = (
        waiting("first token", 0.0, ttft=2.0),
        waiting("sooner", 0.5, ttft=1.0),
        waiting("whole", 0.0, ttft=0.1, deadline=10.0),
    )
    assert [EDF().key(w, 0.6) for w in requests] == [(2.0,), (1.5,), (10.0,)]
    assert taken(EDF(), 0.6, *requests) == ["sooner", "first token", "whole"]


def test_edf_serves_the_late_first_and_equals_by_arrival() -> None:
    """A deadline that has passed is still the earliest, and of equal ones the older request goes."""
    requests = (
        waiting("younger", 1.0, ttft=1.0),
        waiting("older", 0.0, ttft=2.0),
        waiting("missed", 0.25, ttft=0.25),
    )
    assert taken(EDF(), 1.5, *requests) == ["missed", "older", "younger"]


def test_shortest_predicted_goes_by_the_expected_length() -> None:
    """The mean decides: a median of 5 tokens with a tail to 200 (mean 63.5) goes behind a sure 20."""
    tailed = LengthDistribution((0.5, 0.9), (5.0, 200.0))  # 0.5 * 5 + 0.4 * 102.5 + 0.1 * 200
    requests = (
        waiting("tailed", 0.0, length=tailed),
        waiting("sure", 0.1, length=LengthDistribution.constant(20)),
        waiting("short", 0.2),
    )
    assert ShortestPredicted().key(requests[0], 0.3) == pytest.approx((63.5,))
    assert taken(ShortestPredicted(), 0.3, *requests) == ["short", "sure", "tailed"]
