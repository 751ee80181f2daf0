"""A binary heap of request numbers by their keys, compiled; equal keys go by number, which is by arrival."""

import numpy as np
from numpy.typing import NDArray

from presage_simulator.kernel.compiled import inlined

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]


@inlined
def push(heap: Ints, count: int, keys: Floats, item: int) -> int:
    """Add an item; return how many there are now."""
    at = count
    while at > 0:
        parent = (at - 1) // 2
        if not _before(keys, item, heap[parent]):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = item
    return count + 1


@inlined
def pop(heap: Ints, count: int, keys: Floats) -> int:
    """Return the first item and take it out; the caller counts one less."""
    first = heap[0]
    sink(heap, count - 1, keys, 0, heap[count - 1])
    return int(first)


@inlined
def rebuild(heap: Ints, count: int, keys: Floats) -> None:
    """Put the heap in order after keys have changed."""
    for at in range(count // 2 - 1, -1, -1):
        sink(heap, count, keys, at, heap[at])


@inlined
def sink(heap: Ints, count: int, keys: Floats, at: int, item: int) -> None:
    """Put an item at a place or below, where it belongs."""
    while True:
        child = 2 * at + 1
        if child >= count:
            break
        if child + 1 < count and _before(keys, heap[child + 1], heap[child]):
            child += 1
        if not _before(keys, heap[child], item):
            break
        heap[at] = heap[child]
        at = child
    if count > 0:
        heap[at] = item


@inlined
def _before(keys: Floats, one: int, other: int) -> bool:
    return keys[one] < keys[other] or (keys[one] == keys[other] and one < other)
