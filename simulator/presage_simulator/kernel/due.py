"""Which instance is due next: a binary heap of instances by the end of their leap, lowest index first."""

from presage_simulator.kernel.compiled import compiled
from presage_simulator.kernel.state import World


@compiled
def reschedule(w: World, e: int, due: float) -> None:
    """Note when instance `e` is due."""
    w.due[e] = due
    _rise(w, w.place[e])
    _sink(w, w.place[e])


@compiled
def _before(w: World, a: int, b: int) -> bool:
    return w.due[a] < w.due[b] or (w.due[a] == w.due[b] and a < b)


@compiled
def _rise(w: World, start: int) -> None:
    place, e = start, w.heap[start]
    while place > 0:
        above = (place - 1) // 2
        if not _before(w, e, w.heap[above]):
            break
        w.heap[place] = w.heap[above]
        w.place[w.heap[place]] = place
        place = above
    w.heap[place] = e
    w.place[e] = place


@compiled
def _sink(w: World, start: int) -> None:
    place, e = start, w.heap[start]
    while 2 * place + 1 < len(w.heap):
        below = 2 * place + 1
        if below + 1 < len(w.heap) and _before(w, w.heap[below + 1], w.heap[below]):
            below += 1
        if not _before(w, w.heap[below], e):
            break
        w.heap[place] = w.heap[below]
        w.place[w.heap[place]] = place
        place = below
    w.heap[place] = e
    w.place[e] = place
