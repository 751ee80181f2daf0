"""The fronts' waiting room: requests that nobody has room for, in the policy's order.

Two lists threaded through the requests: those whose key holds, and those whose key has lapsed. A third has
all of them by arrival, for the bound on waiting.
"""

from presage_simulator.kernel.compiled import compiled
from presage_simulator.kernel.state import NONE, World


@compiled
def admit(w: World, slot: int) -> None:
    """Let a request in; whether there is a place left is the front's business."""
    f, q = w.front[0], w.requests[slot]
    q.lapsed = False
    _insert(w, slot)
    q.earlier, q.later = f.newest, NONE
    if f.newest == NONE:
        f.oldest = slot
    else:
        w.requests[f.newest].later = slot
    f.newest = slot
    f.waiting += 1


@compiled
def head(w: World, now: float) -> int:
    """Return who goes first now; NONE when nobody waits."""
    f = w.front[0]
    while f.head != NONE and w.requests[f.head].lapses < now:
        slot = f.head
        _unlink(w, slot)
        w.requests[slot].lapsed = True
        w.requests[slot].key = w.requests[slot].lapsed_key
        _insert(w, slot)
    turn = w.setting[0].late_turn
    late_first = turn > 0 and f.taken % turn == turn - 1
    if f.lapsed_head != NONE and (late_first or f.head == NONE):
        return int(f.lapsed_head)
    return int(f.head)


@compiled
def take_out(w: World, slot: int) -> None:
    """Remove a request from the room."""
    f, q = w.front[0], w.requests[slot]
    _unlink(w, slot)
    if q.earlier == NONE:
        f.oldest = q.later
    else:
        w.requests[q.earlier].later = q.later
    if q.later == NONE:
        f.newest = q.earlier
    else:
        w.requests[q.later].earlier = q.earlier
    f.waiting -= 1


@compiled
def _insert(w: World, slot: int) -> None:
    f, q = w.front[0], w.requests[slot]
    behind = f.lapsed_tail if q.lapsed else f.tail
    while behind != NONE and _goes_before(w, slot, behind):
        behind = w.requests[behind].previous
    q.previous = behind
    if behind == NONE:
        q.next = f.lapsed_head if q.lapsed else f.head
        _set_head(w, q.lapsed, slot)
    else:
        q.next, w.requests[behind].next = w.requests[behind].next, slot
    if q.next == NONE:
        _set_tail(w, q.lapsed, slot)
    else:
        w.requests[q.next].previous = slot


@compiled
def _unlink(w: World, slot: int) -> None:
    q = w.requests[slot]
    if q.previous == NONE:
        _set_head(w, q.lapsed, q.next)
    else:
        w.requests[q.previous].next = q.next
    if q.next == NONE:
        _set_tail(w, q.lapsed, q.previous)
    else:
        w.requests[q.next].previous = q.previous


@compiled
def _set_head(w: World, lapsed: bool, slot: int) -> None:
    if lapsed:
        w.front[0].lapsed_head = slot
    else:
        w.front[0].head = slot


@compiled
def _set_tail(w: World, lapsed: bool, slot: int) -> None:
    if lapsed:
        w.front[0].lapsed_tail = slot
    else:
        w.front[0].tail = slot


@compiled
def _goes_before(w: World, slot: int, other: int) -> bool:
    a, b = w.requests[slot], w.requests[other]
    if a.key != b.key:
        return bool(a.key < b.key)
    return bool(a.arrived < b.arrived or (a.arrived == b.arrived and a.index < b.index))
