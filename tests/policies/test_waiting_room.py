"""The waiting room: bounded, in order, and everyone leaves exactly once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives
from presage_policies.queueing import FCFS, Waiting, WaitingRoom


def waiting(number: int, arrived: float) -> Waiting:
    """Return a request of which only the time of arrival matters."""
    return Waiting(str(number), arrived, 100, LengthDistribution.constant(10), Objectives(1.0, 0.05))


actions = st.lists(
    st.one_of(
        st.just(("admit", 0)),
        st.tuples(st.just("take"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("expire"), st.just(0)),
    ),
    max_size=60,
)


@given(actions)
def test_everyone_leaves_once(steps: list[tuple[str, int]]) -> None:
    """Whatever happens, no request is taken twice, lost, or kept beyond the bound; order is arrival."""
    room = WaitingRoom(FCFS(), max_requests=5, max_wait_seconds=8.0)
    inside: dict[str, float] = {}
    for now, (action, argument) in enumerate(steps):
        if action == "admit":
            admitted = room.admit(waiting(now, float(now)))
            assert admitted == (len(inside) < 5)
            if admitted:
                inside[str(now)] = float(now)
        elif action == "take":
            taken = room.take(argument, float(now))
            fresh = sorted((at, r) for r, at in inside.items() if at > now - 8.0)
            assert [w.arrived for w in taken] == [at for at, _ in fresh[:argument]]
            for w in taken:
                del inside[w.request_id]
        elif action == "cancel":
            assert room.cancel(str(argument)) == (inside.pop(str(argument), None) is not None)
        else:
            late = {w.request_id for w in room.expire(float(now))}
            assert late == {r for r, at in inside.items() if at <= now - 8.0}
            inside = {r: at for r, at in inside.items() if r not in late}
        assert {w.request_id for w in room} == set(inside)


def test_only_what_fits_is_taken() -> None:
    """A guard may say what fits; whoever does not keeps the place."""
    room = WaitingRoom(FCFS(), 5, 60.0)
    for number in range(3):
        room.admit(waiting(number, float(number)))
    assert [w.request_id for w in room.take(2, 3.0, lambda w: w.request_id != "0")] == ["1", "2"]
    assert room.oldest_seconds(3.0) == 3.0
    assert "0" in room


def test_bounds_and_doubles_are_refused() -> None:
    """Impossible bounds name the setting, and an id waits once."""
    with pytest.raises(ValueError, match=r"queue\.maxRequests"):
        WaitingRoom(FCFS(), -1, 1.0)
    with pytest.raises(ValueError, match=r"queue\.maxWaitSeconds"):
        WaitingRoom(FCFS(), 1, 0.0)
    room = WaitingRoom(FCFS(), 2, 60.0)
    room.admit(waiting(1, 0.0))
    with pytest.raises(ValueError, match="already waits"):
        room.admit(waiting(1, 0.0))
    assert not WaitingRoom(FCFS(), 0, 60.0).admit(waiting(1, 0.0))
