"""Forming an iteration: every decode, then prompts in order within the tokens that are left."""

from math import inf

import numpy as np
from presage_policies.chunking import hopeless, largest_fitting, learned_rate, next_token_due
from presage_policies.engine.stratified import stratified_seconds

from presage_simulator.iterations import engine, heap
from presage_simulator.iterations.world import World
from presage_simulator.kernel.compiled import inlined, of_policies

_hopeless = of_policies(hopeless)
_largest_fitting = of_policies(largest_fitting)
_learned_rate = of_policies(learned_rate)
_next_token_due = of_policies(next_token_due)
_stratified_seconds = of_policies(stratified_seconds)


@inlined
def begin(world: World, replica: int, now: float) -> None:
    """Begin a replica's next iteration, or leave it idle when there is nothing to do."""
    _note_load(world, replica)
    decodes, decode_context, slack, crowded = _decodes(world, replica, now)
    budget = _budget(world, replica, decodes, decode_context, slack)
    prefill, prompts, prompt_context, attention = _prefills(world, replica, now, budget, crowded)
    here = world.replicas[replica]
    if decodes + prefill == 0:
        here["ends"] = inf
        return
    seconds = _stratified_seconds(
        world.table,
        world.setting[0]["split_tokens"],
        prefill,
        decodes,
        decodes + prompts,
        decode_context,
        prompt_context,
        attention,
    )
    if prefill > 0:
        here["rate"] = _learned_rate(here["rate"], prefill, seconds)
    here["ends"] = now + seconds
    here["iterations"] += 1
    here["busy"] += seconds


@inlined
def _note_load(world: World, replica: int) -> None:
    """See whether the replica is loaded, which sets alpha and with it the order of the queue."""
    here = world.replicas[replica]
    loaded = here["queued_tokens"] / here["rate"] > world.setting[0]["loaded_seconds"]
    if loaded != here["loaded"]:
        here["loaded"] = loaded
        if here["order"] == engine.HYBRID:
            engine.reorder(world, replica)


@inlined
def _decodes(world: World, replica: int, now: float) -> tuple[int, int, float, bool]:
    """Schedule a token of every decoding request.

    Return how many they are, the context behind them, the least time until one is due, and whether
    somebody was sent back for lack of KV.
    """
    here = world.replicas[replica]
    count, context, slack, crowded = 0, 0, inf, False
    place = 0
    while place < here["runs"] and count < here["budget"]:
        item = int(world.running[replica, place])
        place += 1
        if not engine.decoding(world, item):
            continue
        request, stays = world.requests[item], True
        while stays and not engine.take(world, replica, item, request["computed"] + 1):
            stays = engine.send_back_last(world, replica) != item
            crowded = True
        if stays:
            request["share"] = 1
            count += 1
            context += request["computed"]
            pace = world.classes[request["klass"]]["pace"]
            due = _next_token_due(request["due"], request["first"], request["generated"], pace)
            slack = min(slack, due - now)
    return count, context, slack, crowded


@inlined
def _budget(world: World, replica: int, decodes: int, decode_context: int, slack: float) -> int:
    """Return the prompt tokens that the iteration may hold."""
    here, setting = world.replicas[replica], world.setting[0]
    if not here["dynamic"]:
        return int(here["budget"] - decodes)
    behind, sizes = 0, world.sizes
    if here["queues"] > 0:
        behind = int(world.requests[world.queue[replica, 0]]["computed"])
    seconds = np.empty(len(sizes))
    for index in range(len(sizes)):
        prefill = max(0, sizes[index] - decodes)
        seconds[index] = _stratified_seconds(
            world.table,
            setting["split_tokens"],
            prefill,
            decodes,
            decodes + 1,
            decode_context,
            behind,
            prefill * (behind + prefill / 2),
        )
    return int(max(0, sizes[_largest_fitting(seconds, slack, setting["margin"])] - decodes))


@inlined
def _prefills(
    world: World, replica: int, now: float, budget: int, crowded: bool
) -> tuple[int, int, int, float]:
    """Schedule prompts in order: their tokens, how many they are, the context behind them, attention."""
    here = world.replicas[replica]
    tokens, prompts, context, attention = 0, 0, 0, 0.0
    blocked = False
    while tokens < budget and here["queues"] > 0 and not blocked:
        item = heap.pop(world.queue[replica], here["queues"], world.keys)
        here["queues"] -= 1
        if _give_up(world, replica, item, now):
            continue
        if not _admitted(world, replica, item, crowded):
            blocked = True
            engine.enqueue(world, replica, item)
            break
        behind, chunk = _give(world, replica, item, budget - tokens)
        tokens += chunk
        prompts += 1
        context += behind
        attention += chunk * (behind + chunk / 2)
    while blocked and tokens < budget:
        item = _next_that_runs(world, replica)
        if item < 0:
            break
        behind, chunk = _give(world, replica, item, budget - tokens)
        tokens += chunk
        prompts += 1
        context += behind
        attention += chunk * (behind + chunk / 2)
    return tokens, prompts, context, attention


@inlined
def _give_up(world: World, replica: int, item: int, now: float) -> bool:
    """Relegate a request that cannot make its deadline; tell whether it was."""
    here, request = world.replicas[replica], world.requests[item]
    if not here["relegates"] or request["relegated"] or request["blocks"] > 0:
        return False
    remaining = float(engine.remaining_prefill(world, item))
    if not _hopeless(now, remaining, here["rate"], request["due"]):
        return False
    request["relegated"] = True
    engine.enqueue(world, replica, item)
    return True


@inlined
def _admitted(world: World, replica: int, item: int, crowded: bool) -> bool:
    """Admit a request that holds no KV yet; False when there is no room for it."""
    here, request = world.replicas[replica], world.requests[item]
    if request["blocks"] > 0:
        return True
    if crowded or here["runs"] >= world.setting[0]["max_sequences"]:
        return False
    if not engine.take(world, replica, item, request["prompt"] + request["generated"]):
        return False
    world.running[replica, here["runs"]] = item
    here["runs"] += 1
    return True


@inlined
def _give(world: World, replica: int, item: int, most: int) -> tuple[int, int]:
    """Give a prompt, out of the queue, its chunk: (tokens behind it, tokens of it). The rest waits on."""
    here, request = world.replicas[replica], world.requests[item]
    remaining = engine.remaining_prefill(world, item)
    chunk = min(most, remaining)
    request["share"] = chunk
    here["queued_tokens"] -= chunk
    if chunk < remaining:
        if engine.decoding(world, item):  # of a request sent back before, a last token is left
            here["queued_tokens"] -= 1
        else:
            engine.enqueue(world, replica, item)
    return int(request["computed"]), int(chunk)


@inlined
def _next_that_runs(world: World, replica: int) -> int:
    """Take the first of those in the queue that hold KV out of it; -1 when there is none left.

    Who holds KV goes on even when the first in the queue finds no room: only so does room come.
    """
    here, queue, keys = world.replicas[replica], world.queue[replica], world.keys
    best = -1
    for place in range(here["queues"]):
        item = queue[place]
        if world.requests[item]["blocks"] > 0 and world.requests[item]["share"] == 0:
            better = best < 0 or keys[item] < keys[queue[best]]
            best = place if better else best
    if best < 0:
        return -1
    item = int(queue[best])
    here["queues"] -= 1
    queue[best] = queue[here["queues"]]
    heap.rebuild(queue, here["queues"], keys)
    return item
