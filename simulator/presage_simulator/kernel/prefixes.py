"""Prefix caches: blocks of prompts whose KV an engine still holds, for the next prompt that begins so.

As vLLM's automatic prefix caching: a request pins the blocks that it uses; what nobody uses any more stays
until room is needed, the least recently used goes first and of one prompt its end before its beginning.
Two running requests with the same beginning hold a copy each (vLLM shares it; so this errs to less KV).
"""

import numpy as np

from presage_simulator.kernel.compiled import compiled
from presage_simulator.kernel.state import NONE, World


@compiled
def blocks_of(w: World, slot: int) -> int:
    """Return how many prefix blocks a request's prompt has."""
    if w.setting[0].prefix_tokens == 0:
        return 0
    index = w.requests[slot].index
    return int(w.prefixes.offsets[index + 1] - w.prefixes.offsets[index])


@compiled
def cached_blocks(w: World, e: int, slot: int) -> int:
    """Return how many of a prompt's leading blocks instance `e` holds."""
    count, start = blocks_of(w, slot), 0
    if count > 0:
        start = w.prefixes.offsets[w.requests[slot].index]
    for block in range(count):
        if w.prefixes.users[e, w.prefixes.ids[start + block]] == NONE:
            return block
    return count


@compiled
def cached_tokens(w: World, e: int, slot: int) -> int:
    """Return how many tokens of a prompt need not be computed on instance `e`."""
    tokens = cached_blocks(w, e, slot) * w.setting[0].prefix_tokens
    return int(min(tokens, w.requests[slot].prompt - 1))


@compiled
def pin(w: World, e: int, slot: int, first: int, last: int) -> None:
    """Let a request use blocks `first` to `last` (exclusive) of its prompt; what was not there now is."""
    if first >= last:
        return
    start = w.prefixes.offsets[w.requests[slot].index]
    for block in range(first, last):
        one = w.prefixes.ids[start + block]
        users = w.prefixes.users[e, one]
        if users == 0:
            _unlink(w, e, one)
        w.prefixes.users[e, one] = max(0, users) + 1
    w.requests[slot].hits = last


@compiled
def unpin(w: World, e: int, slot: int) -> None:
    """Let go of everything that a request uses, the end first: it is also evicted first."""
    q = w.requests[slot]
    if q.hits == 0:
        return
    start = w.prefixes.offsets[q.index]
    for block in range(q.hits - 1, -1, -1):
        one = w.prefixes.ids[start + block]
        w.prefixes.users[e, one] -= 1
        if w.prefixes.users[e, one] == 0:
            _append(w, e, one)
    q.hits = 0


@compiled
def evict(w: World, e: int) -> None:
    """Drop unused blocks until running requests and the cache fit the KV cache."""
    i = w.live.instances[e]
    if i.cached == 0:
        return
    size = w.profile.block_tokens
    blocks = (w.setting[0].prefix_tokens + size - 1) // size
    most = (w.profile.kv_capacity_tokens // size - i.used) // blocks
    while i.cached > most:
        one = i.oldest
        _unlink(w, e, one)
        w.prefixes.users[e, one] = NONE


@compiled
def owner_of(w: World, slot: int) -> int:
    """Return the instance that was sent the longest known beginning of a prompt; NONE where none was."""
    count = blocks_of(w, slot)
    if count == 0:
        return NONE
    return int(w.prefixes.owner[w.prefixes.ids[w.prefixes.offsets[w.requests[slot].index]]])


@compiled
def own(w: World, e: int, slot: int) -> None:
    """Note that a prompt has been sent to instance `e`."""
    count = blocks_of(w, slot)
    if count == 0:
        return
    start = w.prefixes.offsets[w.requests[slot].index]
    for block in range(count):
        w.prefixes.owner[w.prefixes.ids[start + block]] = e


@compiled
def _append(w: World, e: int, one: int) -> None:
    i = w.live.instances[e]
    w.prefixes.older[e, one] = i.newest
    w.prefixes.newer[e, one] = NONE
    if i.newest == NONE:
        i.oldest = one
    else:
        w.prefixes.newer[e, i.newest] = one
    i.newest = one
    i.cached += 1


@compiled
def _unlink(w: World, e: int, one: int) -> None:
    i = w.live.instances[e]
    older, newer = np.int64(w.prefixes.older[e, one]), np.int64(w.prefixes.newer[e, one])
    if older == NONE:
        i.oldest = newer
    else:
        w.prefixes.newer[e, older] = newer
    if newer == NONE:
        i.newest = older
    else:
        w.prefixes.older[e, newer] = older
    i.cached -= 1
