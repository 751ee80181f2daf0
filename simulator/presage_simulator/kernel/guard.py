"""What a guard knows of its engine, in the anticipator's terms, and what it bids from that.

Guards know predicted lengths and the tokens that came out; `output`, the true length, is read by `engine`
alone. (Compiled functions know their arguments by place only, however many.)
"""

import math
from typing import Any, NamedTuple

from presage_policies.anticipator import EXTENSION, OVERLOAD_LEVEL
from presage_policies.objectives import Objectives
from presage_policies.ramps import peak_beside
from presage_policies.routing.bid import (
    Candidate,
    InstanceLoad,
    bid_beside,
    expected_life,
    idle,
    startable,
)

from presage_simulator.kernel.compiled import compiled, of_policies, twin
from presage_simulator.kernel.leap import done
from presage_simulator.kernel.prefixes import cached_tokens
from presage_simulator.kernel.state import EARLY, READY, Guards, World

SLOTS = 4096  # how many iterations the anticipator looks ahead, as live


class Mean(NamedTuple):
    """All of a length distribution that bids look at."""

    mean: float


Load: Any = twin(InstanceLoad)
Request: Any = twin(Candidate)
Promise: Any = twin(Objectives)
_bid_beside, _expected_life = of_policies(bid_beside), of_policies(expected_life)
_idle, _startable, _peak_beside = of_policies(idle), of_policies(startable), of_policies(peak_beside)


@compiled
def keep(w: World, e: int, slot: int) -> None:
    """Note a request that was accepted and has no first token yet."""
    g, q = w.live, w.requests[slot]
    i = g.instances[e]
    length = max(1, math.ceil(q.predicted))
    place = i.kept
    while place > 0 and g.kept_lengths[e, place - 1] > length:
        g.kept[e, place] = g.kept[e, place - 1]
        g.kept_lengths[e, place] = g.kept_lengths[e, place - 1]
        g.kept_prompts[e, place] = g.kept_prompts[e, place - 1]
        place -= 1
    g.kept[e, place], g.kept_lengths[e, place], g.kept_prompts[e, place] = slot, length, q.prompt
    i.kept += 1
    i.requests += 1
    i.prefilling += q.work
    i.token_load += q.prompt + q.predicted


@compiled
def start(w: World, e: int, slot: int) -> None:
    """Note a first token: the request's ramp begins, one iteration long already counted by the engine."""
    g, q = w.live, w.requests[slot]
    i = g.instances[e]
    place = 0
    while g.kept[e, place] != slot:
        place += 1
    length = g.kept_lengths[e, place]
    i.kept -= 1
    for later in range(place, i.kept):
        g.kept[e, later] = g.kept[e, later + 1]
        g.kept_lengths[e, later] = g.kept_lengths[e, later + 1]
        g.kept_prompts[e, later] = g.kept_prompts[e, later + 1]
    q.started = True
    q.extension = max(1, math.ceil(EXTENSION * length))
    _insert(g, e, slot, i.steps + length, q.prompt - i.steps)
    i.prefilling -= q.work
    i.kv_tokens += q.prompt + 1


@compiled
def leave(w: World, e: int, slot: int) -> None:
    """Take out a request that has ended."""
    g, q = w.live, w.requests[slot]
    i = g.instances[e]
    place = 0
    while g.slots[e, place] != slot:
        place += 1
    i.ramps -= 1
    for later in range(place, i.ramps):
        _move(g, e, later + 1, later)
    i.requests -= 1
    i.kv_tokens -= q.prompt + q.generated
    i.token_load -= q.prompt + q.predicted


@compiled
def hold_back(w: World, e: int, slot: int, steps: int) -> None:
    """Note that a request which has started brought no tokens in the last `steps` iterations."""
    g = w.live
    place = 0
    while g.slots[e, place] != slot:
        place += 1
    end, base = g.ends[e, place] + steps, g.bases[e, place] - steps
    i = g.instances[e]
    i.ramps -= 1
    for later in range(place, i.ramps):
        _move(g, e, later + 1, later)
    _insert(g, e, slot, end, base)


@compiled
def extend(w: World, e: int, steps: int) -> None:
    """Extend every response that has outlived its prediction, again and again until it has not."""
    g = w.live
    i = g.instances[e]
    while i.ramps > 0 and g.ends[e, 0] <= steps:
        slot, end, base = g.slots[e, 0], g.ends[e, 0], g.bases[e, 0]
        more = w.requests[slot].extension
        i.ramps -= 1
        for later in range(i.ramps):
            _move(g, e, later + 1, later)
        _insert(g, e, slot, end + (steps - end + more) // more * more, base)


@compiled
def describe(w: World, e: int, slot: int, now: float, place: int) -> None:
    """Write what instance `e` says of itself and whether it has room to `scratch.bids[place]`."""
    g, steps = _present(w, e, now)
    load = _load(w, g, e, steps)
    b, size = w.scratch.bids[place], w.profile.kv_capacity_tokens
    b.room = w.setting[0].binding == EARLY or _room(w, g, e, slot, steps, load)
    b.requests, b.token_load, b.waiting = load.requests, load.token_load, load.waiting
    b.kv_usage, b.waiting_kv = load.kv_tokens / size, load.waiting_kv_tokens / size
    b.cached_tokens = cached_tokens(w, e, slot)


@compiled
def make_bid(w: World, e: int, slot: int, now: float, place: int) -> None:
    """Write what instance `e` bids for a request to `scratch.bids[place]`."""
    g, steps = _present(w, e, now)
    q = w.requests[slot]
    load = _load(w, g, e, steps)
    life = _expected_life(q.predicted, SLOTS)
    peak = _peak(w, g, e, steps, q.prompt, life)
    promised, ramps = w.objectives[q.klass], g.instances[e].ramps
    candidate = Request(
        q.prompt, Mean(q.predicted), Promise(promised[0], promised[1], 0.0), cached_tokens(w, e, slot)
    )
    bid = _bid_beside(w.profile, load, w.scratch.now[:ramps], w.scratch.left[:ramps], peak, life, candidate)
    b = w.scratch.bids[place]
    b.cost_seconds, b.ttft_seconds, b.tpot_seconds = bid.cost_seconds, bid.ttft_seconds, bid.tpot_seconds
    b.room = w.setting[0].binding == EARLY or bid.room
    b.requests, b.token_load, b.waiting = bid.requests, bid.token_load, bid.waiting
    b.kv_usage, b.waiting_kv, b.cached_tokens = bid.kv_usage, bid.waiting_kv, bid.cached_tokens


@compiled
def has_room(w: World, e: int, slot: int, now: float) -> bool:
    """Tell whether instance `e` could start the request at once, as its guard knows at this moment."""
    steps = w.live.instances[e].steps + done(w, e, now)
    extend(w, e, steps)
    return _room(w, w.live, e, slot, steps, _load(w, w.live, e, steps))


@compiled
def copy_of(w: World, e: int, now: float) -> None:
    """Take instance `e` into the snapshot."""
    i, g, s = w.live.instances[e], w.live, w.seen
    steps = i.steps + done(w, e, now)
    extend(w, e, steps)
    s.instances[e] = i
    s.instances[e].kv_tokens = kv_tokens(w, e, now)
    s.instances[e].steps = steps
    s.ends[e, : i.ramps], s.bases[e, : i.ramps] = g.ends[e, : i.ramps], g.bases[e, : i.ramps]
    s.kept_lengths[e, : i.kept] = g.kept_lengths[e, : i.kept]
    s.kept_prompts[e, : i.kept] = g.kept_prompts[e, : i.kept]


@compiled
def write_ends(w: World, e: int, now: float) -> int:
    """Write all ramps that have started to `scratch.ends` and `.behind`; return how many there are."""
    steps = w.live.instances[e].steps + done(w, e, now)
    extend(w, e, steps)
    _write_started(w, w.live, e, steps)
    count = w.live.instances[e].ramps
    for place in range(count):
        w.scratch.ends[place] = w.scratch.left[place] - 1
        w.scratch.behind[place] = w.scratch.now[place]
    _sum_behind(w, count)
    return int(count)


@compiled
def tokens_out(w: World, e: int, now: float) -> int:
    """Return the tokens that came out since the leap began: one an iteration of every running sequence."""
    return done(w, e, now) * int(w.live.instances[e].running)


@compiled
def kv_tokens(w: World, e: int, now: float) -> int:
    """Return the KV tokens that instance `e` holds by what has come out."""
    return int(w.live.instances[e].kv_tokens) + tokens_out(w, e, now)


@compiled
def _present(w: World, e: int, now: float) -> tuple[Guards, int]:
    """Return what is known of instance `e` now, and at which step: live, or by the snapshot."""
    if w.setting[0].age > 0:
        return w.seen, w.seen.instances[e].steps
    steps = w.live.instances[e].steps + done(w, e, now)
    extend(w, e, steps)
    return w.live, steps


@compiled
def _load(w: World, g: Guards, e: int, steps: int) -> Any:
    i = g.instances[e]
    early = w.setting[0].binding == EARLY  # an endpoint picker reads the engine's own queue
    return Load(
        i.requests,
        i.ramps,
        i.prefilling,
        i.kv_tokens + (steps - i.steps) * i.running,
        i.token_load,
        w.profile.kv_capacity_tokens,
        w.profile.max_sequences,
        0.0,
        i.waiting if early else 0,
        0,
        i.state == READY,
        i.waiting_tokens if early else 0,
    )


@compiled
def _room(w: World, g: Guards, e: int, slot: int, steps: int, load: Any) -> bool:  # noqa: PLR0917
    if _idle(load) or not _startable(w.profile, load):
        return bool(_idle(load) and load.room)
    q = w.requests[slot]
    peak = _peak(w, g, e, steps, q.prompt, _expected_life(q.predicted, SLOTS))
    return bool(peak <= OVERLOAD_LEVEL)


@compiled
def _peak(w: World, g: Guards, e: int, steps: int, prompt: int, life: int) -> float:  # noqa: PLR0917
    """Return the peak share of KV if the request began to decode now beside everything accepted.

    Leaves the ramps that have started in `scratch.now` and `.left`.
    """
    _write_started(w, g, e, steps)
    count = _merge_kept(w, g, e)
    _sum_behind(w, count)
    ends, behind = w.scratch.ends[:count], w.scratch.behind[: count + 1]
    return _peak_beside(ends, behind, float(prompt), life, float(w.profile.kv_capacity_tokens))  # type: ignore[no-any-return]


@compiled
def _write_started(w: World, g: Guards, e: int, steps: int) -> None:
    for place in range(g.instances[e].ramps):
        w.scratch.left[place] = min(g.ends[e, place] - steps, SLOTS)
        w.scratch.now[place] = g.bases[e, place] + steps


@compiled
def _merge_kept(w: World, g: Guards, e: int) -> int:
    """Merge started ramps and those to come, both sorted, by their last iteration; return how many."""
    ramps, kept, s = g.instances[e].ramps, g.instances[e].kept, w.scratch
    ramp, other = 0, 0
    for place in range(ramps + kept):
        length = min(g.kept_lengths[e, other], SLOTS) if other < kept else 0
        if other == kept or (ramp < ramps and s.left[ramp] <= length):
            s.ends[place], s.behind[place] = s.left[ramp] - 1, s.now[ramp]
            ramp += 1
        else:
            s.ends[place], s.behind[place] = length - 1, g.kept_prompts[e, other]
            other += 1
    return int(ramps + kept)


@compiled
def _sum_behind(w: World, count: int) -> None:
    """Make `scratch.behind` of each ramp's tokens the tokens of it and of all that follow."""
    w.scratch.behind[count] = 0.0
    for place in range(count - 1, -1, -1):
        w.scratch.behind[place] += w.scratch.behind[place + 1]


@compiled
def _insert(g: Guards, e: int, slot: int, end: int, base: int) -> None:
    place = g.instances[e].ramps
    while place > 0 and g.ends[e, place - 1] > end:
        _move(g, e, place - 1, place)
        place -= 1
    g.slots[e, place], g.ends[e, place], g.bases[e, place] = slot, end, base
    g.instances[e].ramps += 1


@compiled
def _move(g: Guards, e: int, source: int, target: int) -> None:
    g.slots[e, target] = g.slots[e, source]
    g.ends[e, target] = g.ends[e, source]
    g.bases[e, target] = g.bases[e, source]
