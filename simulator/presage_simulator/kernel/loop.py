"""The event loop, and everything else that Python calls."""

import math

from presage_policies.anticipator import OVERLOAD_LEVEL, OVERLOAD_SLOTS
from presage_policies.ramps import overload_share, peak_alone

from presage_simulator.kernel.compiled import compiled, entry, of_policies
from presage_simulator.kernel.due import reschedule
from presage_simulator.kernel.engine import begin, blocks_used, complete
from presage_simulator.kernel.front import Generator, arrive, expire, expires_at, pull, take_snapshot
from presage_simulator.kernel.guard import copy_of, kv_tokens, tokens_out, write_ends
from presage_simulator.kernel.handles import by_reference
from presage_simulator.kernel.state import ABSENT, DRAINING, LATE, READY, World
from presage_simulator.workload import Floats

DONE, SLOTS_NEEDED, LOG_FULL, RAMPS_NEEDED = range(4)  # why `run` returns
SIGNALS = (
    "overload",
    "projected_peak",
    "kv_usage",
    "requests",
    "prompt_served",
    "output_served",
    "finished",
    "met",
)  # the last four since the instance's creation

_overload_share, _peak_alone = of_policies(overload_share), of_policies(peak_alone)


@compiled
def _run(w: World, until: float, rng: Generator) -> int:
    """Handle every event up to `until` (s); return early when an array is full.

    Equal times: ends of iterations by instance, then expiry, snapshots, samples, arrivals.
    """
    f, limit = w.front[0], len(w.fates) - w.running.shape[1] - w.setting[0].max_waiting - 1
    while f.ended < limit:
        arrival = w.part.at[f.next - f.base] if f.next - f.base < len(w.part.at) else math.inf
        if arrival == math.inf and f.last and f.open == 0:
            return DONE
        due, expiry = w.due[w.heap[0]], expires_at(w)
        now = min(due, expiry, f.snapshot, f.sampled, arrival)
        if now > until:
            f.now = until
            return DONE
        if arrival == now and f.free == 0:
            return SLOTS_NEEDED
        if _crowded(w):
            return RAMPS_NEEDED
        f.now = now
        if due == now:
            _complete(w, w.heap[0], now, rng)
        elif expiry == now:
            expire(w, now)
        elif f.snapshot == now:
            take_snapshot(w, now)
            f.snapshot += w.setting[0].age
        elif f.sampled == now:
            _sample(w, now)
            f.sampled += w.setting[0].sample
        else:
            arrive(w, now, rng)
    return LOG_FULL


@compiled
def _crowded(w: World) -> bool:
    """Tell whether one event could bring an instance more requests than there is room for."""
    if w.setting[0].binding == LATE:
        return False  # a guard takes no more than its engine's sequences
    return bool(w.front[0].crowd + w.front[0].waiting + 1 >= w.live.slots.shape[1])


@compiled
def _complete(w: World, e: int, now: float, rng: Generator) -> None:
    i = w.live.instances[e]
    complete(w, e, now)
    if i.state == DRAINING and i.requests == 0:
        _remove(w, e, now)
        return
    pull(w, e, now, rng)
    begin(w, e, now)


@compiled
def _remove(w: World, e: int, now: float) -> None:
    i = w.live.instances[e]
    i.state = ABSENT
    w.front[0].replica_seconds += now - i.created
    reschedule(w, e, math.inf)


@compiled
def _serve(w: World, e: int, now: float, rng: Generator) -> None:
    """Let an instance serve from now on: it takes what waits."""
    f, place = w.front[0], w.front[0].ready
    w.live.instances[e].state = READY
    while place > 0 and w.live.instances[w.ready[place - 1]].number > w.live.instances[e].number:
        w.ready[place] = w.ready[place - 1]
        place -= 1
    w.ready[place] = e
    f.ready += 1
    if w.setting[0].age > 0:
        copy_of(w, e, now)
    pull(w, e, now, rng)
    begin(w, e, now)


@compiled
def _drain(w: World, e: int, now: float) -> None:
    """Give an instance nothing new; it is gone when its last request has ended."""
    f, i, kept = w.front[0], w.live.instances[e], 0
    for place in range(f.ready):
        if w.ready[place] != e:
            w.ready[kept] = w.ready[place]
            kept += 1
    f.ready = kept
    i.state = DRAINING
    if i.requests == 0:
        _remove(w, e, now)


@compiled
def _sample(w: World, now: float) -> None:
    """Add the mean and the coefficient of variation of KV use over ready instances to their sums."""
    f, total, squares = w.front[0], 0.0, 0.0
    if f.ready == 0:
        return
    for place in range(f.ready):
        use = kv_tokens(w, w.ready[place], now) / w.profile.kv_capacity_tokens
        total += use
        squares += use * use
    mean = total / f.ready
    f.samples += 1
    f.kv_use += mean
    if mean > 0:
        f.imbalance += math.sqrt(max(0.0, squares / f.ready - mean * mean)) / mean


@compiled
def _scrape(w: World, now: float, signals: Floats) -> None:
    """Write what each instance's metrics say now: columns as in `SIGNALS`."""
    for e in range(len(w.live.instances)):
        i = w.live.instances[e]
        if i.state == ABSENT:
            continue
        count = write_ends(w, e, now)
        ends, behind = w.scratch.ends[:count], w.scratch.behind[: count + 1]
        size = float(w.profile.kv_capacity_tokens)
        signals[e, 0] = _overload_share(ends, behind, size, OVERLOAD_SLOTS, OVERLOAD_LEVEL)
        signals[e, 1] = _peak_alone(ends, behind, size)
        signals[e, 2] = blocks_used(w, e, now) / (w.profile.kv_capacity_tokens // w.profile.block_tokens)
        signals[e, 3] = i.requests
        signals[e, 4] = i.prompt_served
        signals[e, 5] = i.output_served + tokens_out(w, e, now)
        signals[e, 6] = i.finished
        signals[e, 7] = i.met


@entry
def run(w: World, until: float, rng: Generator) -> int:
    """Handle every event up to `until` (s); return why: everything is done, or an array is full."""
    return _run(by_reference(w), until, rng)


@entry
def serve(w: World, e: int, now: float, rng: Generator) -> None:
    """Let an instance serve from now on: it takes what waits."""
    _serve(by_reference(w), e, now, rng)


@entry
def drain(w: World, e: int, now: float) -> None:
    """Give an instance nothing new; it is gone when its last request has ended."""
    _drain(by_reference(w), e, now)


@entry
def scrape(w: World, now: float, signals: Floats) -> None:
    """Write what each instance's metrics say now: columns as in `SIGNALS`."""
    _scrape(by_reference(w), now, signals)
