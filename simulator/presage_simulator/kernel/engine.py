"""Engines as vLLM's V1 schedules them, by the rules of `presage_policies.engine.batch`, but leaping.

Running sequences first, in order of admission; prefills chunked within the token budget; KV in whole
blocks; when none is left the sequence admitted last goes back and computes everything again. The slow
reference in `replay` runs that module itself, and a test holds the two together to the microsecond.
"""

import math

from presage_policies.engine.timing import BatchShape, iteration_seconds

from presage_simulator.kernel import guard, prefixes
from presage_simulator.kernel.compiled import compiled, of_policies, twin
from presage_simulator.kernel.due import reschedule
from presage_simulator.kernel.leap import done, end_of, iterations_within_kv
from presage_simulator.kernel.state import NONE, World

Shape = twin(BatchShape)
_iteration_seconds = of_policies(iteration_seconds)
_leave, _start, _hold_back = guard.leave, guard.start, guard.hold_back
_cached_blocks, _pin, _unpin, _evict = (
    prefixes.cached_blocks,
    prefixes.pin,
    prefixes.unpin,
    prefixes.evict,
)
_blocks_of = prefixes.blocks_of


@compiled
def longest_tokens(w: World) -> int:
    """Return the most prompt plus output tokens that one request can have."""
    size = w.profile.block_tokens
    return int(w.profile.kv_capacity_tokens // size * size)


@compiled
def blocks_used(w: World, e: int, now: float) -> int:
    """Return the KV blocks that running sequences hold, those of the iteration in flight included."""
    i, size, extra = w.live.instances[e], w.profile.block_tokens, done(w, e, now)
    if extra == 0:
        return int(i.used)
    total = 0
    for place in range(i.running):
        total += (w.requests[w.running[e, place]].computed + extra + size) // size
    return int(total)


@compiled
def enqueue(w: World, e: int, slot: int) -> None:
    """Queue a request by its priority, then arrival, then order of adding."""
    i, q = w.live.instances[e], w.requests[slot]
    behind = i.last
    while behind != NONE and _goes_before(w, slot, behind):
        behind = w.requests[behind].previous
    q.previous = behind
    if behind == NONE:
        q.next, i.first = i.first, slot
    else:
        q.next, w.requests[behind].next = w.requests[behind].next, slot
    if q.next == NONE:
        i.last = slot
    else:
        w.requests[q.next].previous = slot
    i.waiting += 1
    i.waiting_tokens += q.prompt + q.generated


@compiled
def begin(w: World, e: int, now: float) -> None:
    """Form the next iteration, and leap as far as it repeats itself; idle when there is nothing to do."""
    i = w.live.instances[e]
    budget, preempted = _schedule_running(w, e)
    if not preempted:
        _admit(w, e, budget)
    _evict(w, e)
    tokens, sequences, kv, attention, leaping = _shape(w, e)
    if sequences == 0:
        reschedule(w, e, math.inf)
        return
    i.busy, i.began, i.growth, i.planned = True, now, 0.0, 1
    i.seconds = _iteration_seconds(w.profile, Shape(tokens, sequences, kv, attention))
    i.leaping = leaping and not preempted and i.ramps == i.running
    if i.leaping and w.front[0].waiting == 0:
        i.growth = w.profile.coefficients.per_kv_token * sequences
        i.planned = _iterations(w, e)
    reschedule(w, e, end_of(w, e, i.planned))


@compiled
def complete(w: World, e: int, now: float) -> None:
    """Take what the leap has brought; requests that ended leave with their fate in the log."""
    i = w.live.instances[e]
    i.busy = False
    i.steps += i.planned
    if i.leaping:
        _advance_all(w, e)
    else:
        _advance_each(w, e, now)
    _drop_ended(w, e, now)


@compiled
def _iterations(w: World, e: int) -> int:
    count = iterations_within_kv(w, e)
    for place in range(w.live.instances[e].running):
        q = w.requests[w.running[e, place]]
        count = min(count, q.output - q.generated)
    return int(count)


@compiled
def _shape(w: World, e: int) -> tuple[int, int, int, float, bool]:
    """Return what is scheduled: tokens, sequences, context decoded over, attention; do all decode."""
    tokens, sequences, kv, attention = 0, 0, 0, 0.0
    i, decoding = w.live.instances[e], 0
    for place in range(i.running):
        q = w.requests[w.running[e, place]]
        if q.tokens == 0:
            continue
        tokens += q.tokens
        sequences += 1
        if q.generated > 0 and q.computed == q.prompt + q.generated - 1:
            kv += q.computed
            decoding += 1
        else:
            attention += q.tokens * (q.computed + q.tokens / 2)
    return tokens, sequences, kv, attention, decoding == i.running


@compiled
def _schedule_running(w: World, e: int) -> tuple[int, bool]:
    """Give every running sequence its tokens; return what is left of the budget, and if any went back."""
    i, budget, preempted, place = w.live.instances[e], w.profile.token_budget, False, 0
    for other in range(i.running):
        w.requests[w.running[e, other]].tokens = 0
    while place < i.running and budget > 0:
        slot = w.running[e, place]
        q = w.requests[slot]
        tokens = min(q.prompt + q.generated - q.computed, budget)
        granted = True
        while granted and not _take(w, e, slot, q.computed + tokens):
            victim = _victim(w, e)
            _preempt(w, e, victim)
            preempted, granted = True, victim != place
            place -= 1 if victim < place else 0
        if granted:
            q.tokens = tokens
            place += 1
        budget = _budget_left(w, e) if preempted else budget - tokens
    return budget, preempted


@compiled
def _budget_left(w: World, e: int) -> int:
    left = w.profile.token_budget
    for place in range(w.live.instances[e].running):
        left -= w.requests[w.running[e, place]].tokens
    return int(left)


@compiled
def _victim(w: World, e: int) -> int:
    """Return the place of the running sequence of the least urgent priority that was admitted last."""
    worst = w.live.instances[e].running - 1
    for place in range(worst - 1, -1, -1):
        if w.requests[w.running[e, place]].priority > w.requests[w.running[e, worst]].priority:
            worst = place
    return int(worst)


@compiled
def _preempt(w: World, e: int, place: int) -> None:
    i, slot = w.live.instances[e], w.running[e, place]
    q = w.requests[slot]
    for later in range(place, i.running - 1):
        w.running[e, later] = w.running[e, later + 1]
    i.running -= 1
    _release(w, e, slot)
    q.computed, q.tokens = 0, 0
    q.preempted += 1
    w.front[0].preemptions += 1
    enqueue(w, e, slot)


@compiled
def _admit(w: World, e: int, budget: int) -> None:
    i = w.live.instances[e]
    while i.first != NONE and budget > 0 and i.running < w.profile.max_sequences:
        slot = i.first
        q = w.requests[slot]
        target = q.prompt + q.generated
        if not _take(w, e, slot, target):  # the whole prompt must fit, as in vLLM
            return
        _dequeue_first(w, e)
        w.running[e, i.running] = slot
        i.running += 1
        _pin(w, e, slot, 0, _cached_blocks(w, e, slot))
        q.computed = min(q.hits * w.setting[0].prefix_tokens, q.prompt - 1)
        q.tokens = min(target - q.computed, budget)
        budget -= q.tokens


@compiled
def _dequeue_first(w: World, e: int) -> None:
    i = w.live.instances[e]
    q = w.requests[i.first]
    i.waiting -= 1
    i.waiting_tokens -= q.prompt + q.generated
    i.first = q.next
    if i.first == NONE:
        i.last = NONE
    else:
        w.requests[i.first].previous = NONE


@compiled
def _take(w: World, e: int, slot: int, tokens: int) -> bool:
    i, q, size = w.live.instances[e], w.requests[slot], w.profile.block_tokens
    wanted = (tokens + size - 1) // size - q.blocks
    if wanted <= 0:
        return True
    if i.used + wanted > w.profile.kv_capacity_tokens // size:
        return False
    i.used += wanted
    q.blocks += wanted
    return True


@compiled
def _release(w: World, e: int, slot: int) -> None:
    w.live.instances[e].used -= w.requests[slot].blocks
    w.requests[slot].blocks = 0
    _unpin(w, e, slot)


@compiled
def _goes_before(w: World, slot: int, other: int) -> bool:
    a, b = w.requests[slot], w.requests[other]
    if a.priority != b.priority:
        return a.priority < b.priority  # type: ignore[no-any-return]
    if a.arrived != b.arrived:
        return a.arrived < b.arrived  # type: ignore[no-any-return]
    return a.added < b.added  # type: ignore[no-any-return]


@compiled
def _advance_all(w: World, e: int) -> None:
    """Give every running sequence one token an iteration, and the blocks that they take."""
    i, size = w.live.instances[e], w.profile.block_tokens
    count = i.planned
    for place in range(i.running):
        q = w.requests[w.running[e, place]]
        q.computed += count
        q.generated += count
        blocks = (q.computed + size - 1) // size
        i.used += blocks - q.blocks
        q.blocks = blocks
    i.kv_tokens += count * i.running
    i.output_served += count * i.running


@compiled
def _advance_each(w: World, e: int, now: float) -> None:
    """Compute what was scheduled; whoever has computed all emits a token."""
    i, emitted, before = w.live.instances[e], 0, w.live.instances[e].ramps
    for place in range(i.running):
        slot = w.running[e, place]
        q = w.requests[slot]
        q.computed += q.tokens
        if q.computed < q.prompt + q.generated:
            q.tokens = 0  # brings nothing
        if q.tokens == 0:
            continue
        q.generated += 1
        i.output_served += 1
        if q.generated == 1:
            q.first = now
            i.prompt_served += q.prompt
            _pin(w, e, slot, q.hits, _blocks_of(w, slot))
            _start(w, e, slot)
        else:
            emitted += 1
            i.kv_tokens += 1
    if emitted < before:
        _hold_back_silent(w, e)


@compiled
def _hold_back_silent(w: World, e: int) -> None:
    """Hold back the ramps of sequences that have started and brought nothing: preempted, or out of budget."""
    i = w.live.instances[e]
    for place in range(i.running):
        slot = w.running[e, place]
        if w.requests[slot].started and w.requests[slot].tokens == 0:
            _hold_back(w, e, slot, 1)
    slot = i.first
    while slot != NONE:
        if w.requests[slot].started:
            _hold_back(w, e, slot, 1)
        slot = w.requests[slot].next


@compiled
def _drop_ended(w: World, e: int, now: float) -> None:
    i, kept = w.live.instances[e], 0
    for place in range(i.running):
        slot = w.running[e, place]
        q = w.requests[slot]
        if q.generated < q.output:
            w.running[e, kept] = slot
            kept += 1
            continue
        _release(w, e, slot)
        _leave(w, e, slot)
        _count(w, e, slot, now)
        log(w, slot, now)
    i.running = kept


@compiled
def _count(w: World, e: int, slot: int, now: float) -> None:
    """Count a whole response, and whether it met its class's objectives."""
    i, q = w.live.instances[e], w.requests[slot]
    i.finished += 1
    promised = w.objectives[q.klass]
    paced = q.output == 1 or (now - q.first) / max(1, q.output - 1) <= promised[1]
    if q.first - q.arrived <= promised[0] and paced and now - q.arrived <= promised[2]:
        i.met += 1


@compiled
def log(w: World, slot: int, finished: float) -> None:
    """Write a request's fate and give its slot back; NaN = it never finished."""
    q, f = w.requests[slot], w.front[0]
    fate = w.fates[f.ended]
    fate.index, fate.arrived, fate.output = q.index, q.arrived, q.output
    fate.bound, fate.first, fate.finished = q.bound, q.first, finished
    fate.instance, fate.preempted = q.instance, q.preempted
    f.ended += 1
    f.open -= 1
    w.free[f.free] = slot
    f.free += 1
