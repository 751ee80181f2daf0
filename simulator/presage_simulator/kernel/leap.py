"""Leaps: how many unchanged iterations an engine runs at once, and how far it is at a moment.

While every running sequence decodes, the linear time model makes iteration j (from 0) last
seconds + j·growth, so j of them take j·seconds + growth·j(j - 1)/2 (closed form: ours).
"""

import math

from presage_simulator.kernel.compiled import compiled
from presage_simulator.kernel.due import reschedule
from presage_simulator.kernel.state import World


@compiled
def end_of(w: World, e: int, iterations: int) -> float:
    """Return when so many iterations of the leap have ended."""
    i = w.live.instances[e]
    return i.began + iterations * i.seconds + i.growth * (iterations * (iterations - 1) / 2)  # type: ignore[no-any-return]


@compiled
def done(w: World, e: int, now: float) -> int:
    """Return how many iterations of the leap have ended by now, the last one excepted."""
    i = w.live.instances[e]
    if not i.busy or i.planned == 1:
        return 0
    elapsed = now - i.began
    if i.growth > 0:
        slope = i.seconds - i.growth / 2
        guess = (math.sqrt(slope * slope + 2 * i.growth * elapsed) - slope) / i.growth
    else:
        guess = elapsed / i.seconds
    count = min(max(0, int(guess)), i.planned - 1)
    while count > 0 and end_of(w, e, count) > now:
        count -= 1
    while count < i.planned - 1 and end_of(w, e, count + 1) <= now:
        count += 1
    return int(count)


@compiled
def cut(w: World, e: int, now: float) -> None:
    """Let the leap end with the iteration that is in flight: something changes after it."""
    i = w.live.instances[e]
    if i.busy and i.planned > 1:
        i.planned = done(w, e, now) + 1
        reschedule(w, e, end_of(w, e, i.planned))


@compiled
def iterations_within_kv(w: World, e: int) -> int:
    """Return how many decode iterations every running sequence can have before KV blocks run out.

    Blocks for the first are taken already; after it each sequence takes one whenever its last is full.
    """
    i, size = w.live.instances[e], w.profile.block_tokens
    free = w.profile.kv_capacity_tokens // size - i.used
    full = free // i.running  # rounds of `size` iterations in which each takes one
    w.scratch.offsets[:size] = 0
    for place in range(i.running):
        q = w.requests[w.running[e, place]]
        w.scratch.offsets[q.blocks * size - q.computed - 1] += 1
    left, count = free - full * i.running, 1 + full * size
    for offset in range(size):
        left -= w.scratch.offsets[offset]
        if left < 0:
            break
        count += 1
    return int(count)
