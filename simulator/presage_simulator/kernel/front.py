"""Fronts: where requests arrive, are bid for, wait, and are bound to an instance."""

import math

import numpy as np
from presage_policies.queueing.edf import deadline_of
from presage_policies.queueing.least_slack import latest_start
from presage_policies.routing.least_bid import least_cost
from presage_policies.routing.least_request import fewest_requests
from presage_policies.routing.llumnix import freest
from presage_policies.routing.pick import ask
from presage_policies.routing.prefix_token_load import owner_or_least_tokens
from presage_policies.routing.round_robin import ask_in_turn, first_with_room
from presage_policies.routing.weighted_score import highest_score

from presage_simulator.kernel.compiled import compiled, of_policies
from presage_simulator.kernel.engine import begin, enqueue, log, longest_tokens
from presage_simulator.kernel.guard import copy_of, describe, has_room, keep, make_bid
from presage_simulator.kernel.leap import cut
from presage_simulator.kernel.prefixes import cached_tokens, own, owner_of
from presage_simulator.kernel.room import admit, head, take_out
from presage_simulator.kernel.state import EARLY, NONE, READY, World

LEAST_BID, ROUND_ROBIN, LEAST_REQUEST, POWER_OF_TWO, PREFIX_TOKEN_LOAD, WEIGHTED_SCORE, LLUMNIX = range(7)
POLICIES = {
    "LeastBid": LEAST_BID,
    "RoundRobin": ROUND_ROBIN,
    "LeastRequest": LEAST_REQUEST,
    "PowerOfTwo": POWER_OF_TWO,
    "PrefixTokenLoad": PREFIX_TOKEN_LOAD,
    "WeightedScore": WEIGHTED_SCORE,
    "Llumnix": LLUMNIX,
}
FCFS, EDF, SHORTEST_PREDICTED, SHORTEST_ORACLE, LEAST_SLACK = range(5)
ORDERS = {
    "FCFS": FCFS,
    "EDF": EDF,
    "ShortestPredicted": SHORTEST_PREDICTED,
    "ShortestOracle": SHORTEST_ORACLE,  # the bound: it reads true lengths, so it exists here only
    "LeastSlack": LEAST_SLACK,
}
Generator = np.random.Generator

_ask, _ask_in_turn = of_policies(ask), of_policies(ask_in_turn)
_least_cost, _first_with_room = of_policies(least_cost), of_policies(first_with_room)
_fewest_requests, _freest = of_policies(fewest_requests), of_policies(freest)
_owner_or_least_tokens = of_policies(owner_or_least_tokens)
_highest_score = of_policies(highest_score)
_deadline_of, _latest_start = of_policies(deadline_of), of_policies(latest_start)


@compiled
def arrive(w: World, now: float, rng: Generator) -> None:
    """Let the next request of the part in: bound at once where there is room, else it waits."""
    f = w.front[0]
    slot = _enter(w)
    f.next += 1
    f.open += 1
    if f.waiting > 0 or not _bind(w, slot, now, rng):
        _wait(w, slot, now, rng)


@compiled
def pull(w: World, e: int, now: float, rng: Generator) -> None:
    """Let an instance that may have gained room take what waits, in order, while it has room for the next."""
    if w.live.instances[e].state != READY:
        return
    while w.front[0].waiting > 0:
        slot = head(w, now)
        if w.setting[0].binding == EARLY:
            take_out(w, slot)
            _bind(w, slot, now, rng)
            continue
        if not has_room(w, e, slot, now):
            return
        take_out(w, slot)
        w.front[0].taken += 1
        _hand_over(w, e, slot, now)


@compiled
def expire(w: World, now: float) -> None:
    """Turn away whoever has waited too long."""
    f = w.front[0]
    while f.oldest != NONE and expires_at(w) <= now:
        slot = f.oldest
        take_out(w, slot)
        log(w, slot, math.nan)


@compiled
def expires_at(w: World) -> float:
    """Return when the longest waiting request is turned away; inf = nobody waits."""
    oldest = w.front[0].oldest
    return math.inf if oldest == NONE else w.requests[oldest].arrived + w.setting[0].max_wait


@compiled
def take_snapshot(w: World, now: float) -> None:
    """Let all fronts see every instance as it is now."""
    for place in range(w.front[0].ready):
        copy_of(w, w.ready[place], now)


@compiled
def _enter(w: World) -> int:
    """Give the next request of the part a slot, and its place in the orders."""
    f, p = w.front[0], w.part
    at = f.next - f.base
    f.free -= 1
    slot = w.free[f.free]
    q = w.requests[slot]
    q.index, q.arrived, q.prompt, q.output = f.next, p.at[at], p.prompt[at], p.output[at]
    q.predicted, q.klass, q.instance = p.predicted[at], p.klass[at], NONE
    q.computed, q.generated, q.blocks, q.tokens, q.hits, q.preempted = 0, 0, 0, 0, 0, 0
    q.started, q.bound, q.first = False, math.nan, math.nan
    _place(w, slot)
    return int(slot)


@compiled
def _place(w: World, slot: int) -> None:
    """Set the request's keys in the waiting room and its priority in an engine's queue."""
    q, order = w.requests[slot], w.setting[0].order
    promised = w.objectives[q.klass]
    q.key, q.lapses, q.lapsed_key, q.priority = q.arrived, math.inf, q.arrived, 0.0
    if order == EDF:
        q.key = _deadline_of(q.arrived, promised[0], promised[2])
    elif order == SHORTEST_PREDICTED:
        q.key = q.predicted
    elif order == SHORTEST_ORACLE:
        q.key = float(q.output)
    elif order == LEAST_SLACK:
        q.key = _latest_start(w.profile, q.arrived, q.prompt, promised[0])
        q.lapses = q.key
    if w.setting[0].binding == EARLY and order != FCFS:
        q.priority = q.key


@compiled
def _bind(w: World, slot: int, now: float, rng: Generator) -> bool:
    """Ask for bids and hand the request to the winner; False when none has room."""
    f = w.front[0]
    if f.ready == 0:
        return False
    owner = _owner_place(w, slot)
    asked = _sample(w, owner, rng)
    f.messages += asked
    owner_asked = NONE
    costed = w.setting[0].policy == LEAST_BID
    for place in range(asked):
        e = w.ready[w.scratch.asked[place]]
        if w.scratch.asked[place] == owner:
            owner_asked = place
        if costed:
            make_bid(w, e, slot, now, place)
        else:
            describe(w, e, slot, now, place)
    chosen = _choose(w, asked, owner_asked)
    e = w.ready[w.scratch.asked[chosen]]
    if not costed and w.part.foreseen.shape[0] > 0:
        make_bid(w, e, slot, now, chosen)
    _foresee(w, slot, chosen)
    if not w.scratch.bids[chosen].room or not _still_has_room(w, e, slot, now):
        return False
    _hand_over(w, e, slot, now)
    if not w.live.instances[e].busy:
        begin(w, e, now)
    return True


@compiled
def _still_has_room(w: World, e: int, slot: int, now: float) -> bool:
    """Ask the guard itself when the bid came from a snapshot: it refuses what the engine cannot start."""
    if w.setting[0].binding == EARLY or w.setting[0].age == 0:
        return True
    return has_room(w, e, slot, now)


@compiled
def _sample(w: World, owner: int, rng: Generator) -> int:
    """Write the places of the instances to be asked to `scratch.asked`; return how many."""
    f, policy, count = w.front[0], w.setting[0].policy, w.setting[0].bids
    if policy == POWER_OF_TWO:
        count = 2
    if count == 0 or policy in {WEIGHTED_SCORE, LLUMNIX}:
        count = f.ready
    count = min(count, f.ready)
    asked = w.scratch.asked[:count]
    if policy == ROUND_ROBIN:
        if f.turn == NONE:
            f.turn = int(rng.random() * f.ready)
        _ask_in_turn(asked, f.ready, f.turn)
        f.turn += 1
    elif policy in {LEAST_BID, PREFIX_TOKEN_LOAD, WEIGHTED_SCORE}:
        _ask(asked, f.ready, owner, NONE, rng)
    else:
        _ask(asked, f.ready, NONE, NONE, rng)
    return int(count)


@compiled
def _choose(w: World, asked: int, owner: int) -> int:
    """Return the place of the winning bid, by the policy's own function."""
    bids, policy = w.scratch.bids[:asked], w.setting[0].policy
    if policy == LEAST_BID:
        return _least_cost(bids, NONE, owner)  # type: ignore[no-any-return]
    if policy == ROUND_ROBIN:
        return _first_with_room(bids, NONE, owner)  # type: ignore[no-any-return]
    if policy == PREFIX_TOKEN_LOAD:
        return _owner_or_least_tokens(bids, NONE, owner)  # type: ignore[no-any-return]
    if policy == WEIGHTED_SCORE:
        return _highest_score(bids, NONE, owner)  # type: ignore[no-any-return]
    if policy == LLUMNIX:
        return _freest(bids, NONE, owner)  # type: ignore[no-any-return]
    return _fewest_requests(bids, NONE, owner)  # type: ignore[no-any-return]


@compiled
def _owner_place(w: World, slot: int) -> int:
    """Return the prefix owner's place among the instances that serve; NONE where it is not."""
    owner = owner_of(w, slot)
    if owner == NONE:
        return NONE
    for place in range(w.front[0].ready):
        if w.ready[place] == owner:
            return place
    return NONE


@compiled
def _foresee(w: World, slot: int, chosen: int) -> None:
    """Note what the chosen bid promised, for scalers that act on latencies predicted at arrival."""
    at = w.requests[slot].index - w.front[0].base
    if 0 <= at < w.part.foreseen.shape[0]:
        w.part.foreseen[at, 0] = w.scratch.bids[chosen].ttft_seconds
        w.part.foreseen[at, 1] = w.scratch.bids[chosen].tpot_seconds


@compiled
def _wait(w: World, slot: int, now: float, rng: Generator) -> None:
    """Let a request wait and tell every guard, or turn it away when the room is full."""
    f = w.front[0]
    if f.waiting >= w.setting[0].max_waiting:
        log(w, slot, math.nan)
        return
    admit(w, slot)
    f.messages += f.ready
    if f.waiting == 1:  # from now on guards look after every iteration whether the next one fits
        for place in range(f.ready):
            cut(w, w.ready[place], now)
    first = head(w, now)
    if first == f.checked and first != slot:  # no guard has room for it, or it would have been pulled
        return
    for place in range(f.ready):
        e = w.ready[place]
        pull(w, e, now, rng)
        if not w.live.instances[e].busy:
            begin(w, e, now)
    f.checked = head(w, now)


@compiled
def _hand_over(w: World, e: int, slot: int, now: float) -> None:
    """Bind a request to an instance; the engine refuses what could never fit its KV cache."""
    f, q = w.front[0], w.requests[slot]
    if q.prompt + q.output > longest_tokens(w):
        log(w, slot, math.nan)
        return
    q.instance, q.bound, q.added = w.live.instances[e].number, now, f.added
    f.added += 1
    q.work = max(1, q.prompt - cached_tokens(w, e, slot))
    cut(w, e, now)
    enqueue(w, e, slot)
    keep(w, e, slot)
    own(w, e, slot)
    f.crowd = max(f.crowd, w.live.instances[e].requests)
