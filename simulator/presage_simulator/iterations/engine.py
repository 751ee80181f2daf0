"""What an engine does whatever its scheduler: its queue, KV blocks, tokens that come out, requests that end.

The KV rules are those of `presage_policies.engine.batch`: whole blocks, a prompt is admitted when all of
it fits, and who was admitted last is sent back when a decode finds no block.
"""

from presage_policies.chunking import first_token_due, hybrid
from presage_policies.chunking import orders as prefill_orders

from presage_simulator.iterations import heap
from presage_simulator.iterations.world import World
from presage_simulator.kernel.compiled import inlined, of_policies

FIRST_COME, EARLIEST_DEADLINE, SHORTEST_PREFILL, LEAST_SLACK, HYBRID = range(5)
RELEGATED_SECONDS = 1e9  # added to a relegated key: after every key in use, and precise to 0.1 µs still
PRIOR_OUTPUT_TOKENS = 15.0  # expected of a batch request before any has ended (Niyama's output_len_pred)

_first_token_due = of_policies(first_token_due)
_hybrid = of_policies(hybrid)
_first_come = of_policies(prefill_orders.first_come)
_earliest_deadline = of_policies(prefill_orders.earliest_deadline)
_shortest_prefill = of_policies(prefill_orders.shortest_prefill)
_least_slack = of_policies(prefill_orders.least_slack)


@inlined
def remaining_prefill(world: World, item: int) -> int:
    """Return the tokens to be computed before the next token comes out, those in flight not counted."""
    request = world.requests[item]
    return int(request["prompt"] + request["generated"] - request["computed"] - request["share"])


@inlined
def decoding(world: World, item: int) -> bool:
    """Tell whether a request that runs is in no queue, its next step a single decode."""
    return bool(world.requests[item]["generated"] > 0 and remaining_prefill(world, item) == 1)


@inlined
def set_key(world: World, replica: int, item: int) -> None:
    """Work out a request's place in its replica's queue."""
    request, here = world.requests[item], world.replicas[replica]
    remaining, per_token = float(remaining_prefill(world, item)), 1.0 / here["rate"]
    at, due, order = request["at"], request["due"], here["order"]
    if order == HYBRID:
        setting = world.setting[0]
        alpha = setting["alpha_loaded"] if here["loaded"] else setting["alpha_idle"]
        deadline = at + world.classes[request["klass"]]["deadline"]
        key = _hybrid(deadline, remaining, request["decode"], alpha)
    elif order == EARLIEST_DEADLINE:
        key = _earliest_deadline(at, due, remaining, per_token)
    elif order == SHORTEST_PREFILL:
        key = _shortest_prefill(at, due, remaining, per_token)
    elif order == LEAST_SLACK:
        key = _least_slack(at, due, remaining, per_token)
    else:
        key = _first_come(at, due, remaining, per_token)
    world.keys[item] = key + (RELEGATED_SECONDS if request["relegated"] else 0.0)


@inlined
def enqueue(world: World, replica: int, item: int) -> None:
    """Put a request in its replica's queue."""
    here = world.replicas[replica]
    set_key(world, replica, item)
    here["queues"] = heap.push(world.queue[replica], here["queues"], world.keys, item)


@inlined
def reorder(world: World, replica: int) -> None:
    """Work out every key of a queue anew."""
    queues = world.replicas[replica]["queues"]
    for place in range(queues):
        set_key(world, replica, world.queue[replica, place])
    heap.rebuild(world.queue[replica], queues, world.keys)


@inlined
def arrive(world: World, replica: int, item: int) -> None:
    """Take a new request in."""
    request = world.requests[item]
    klass = world.classes[request["klass"]]
    request["home"] = replica
    if klass["batch"]:
        request["decode"] = expected_output(world, request["klass"])
    request["due"] = _first_token_due(request["at"], klass["deadline"], request["decode"], klass["pace"])
    world.replicas[replica]["queued_tokens"] += request["prompt"]
    enqueue(world, replica, item)


@inlined
def expected_output(world: World, index: int) -> float:
    """Return the mean plus two standard deviations of the output tokens of a class's finished requests."""
    klass = world.classes[index]
    if klass["finished"] < 2:  # noqa: PLR2004 - a deviation needs two
        return PRIOR_OUTPUT_TOKENS
    return float(klass["mean"] + 2.0 * (klass["squares"] / klass["finished"]) ** 0.5)


@inlined
def take(world: World, replica: int, item: int, tokens: int) -> bool:
    """Take KV blocks so that a request holds `tokens`; False when there are not enough."""
    here, setting = world.replicas[replica], world.setting[0]
    wanted = -(-tokens // setting["block_tokens"]) - world.requests[item]["blocks"]
    if wanted <= 0:
        return True
    if here["used"] + wanted > setting["blocks"]:
        return False
    here["used"] += wanted
    here["peak"] = max(here["peak"], here["used"])
    world.requests[item]["blocks"] += wanted
    return True


@inlined
def release(world: World, replica: int, item: int) -> None:
    """Give a request's KV blocks back."""
    world.replicas[replica]["used"] -= world.requests[item]["blocks"]
    world.requests[item]["blocks"] = 0


@inlined
def send_back_last(world: World, replica: int) -> int:
    """Preempt who was admitted last; it waits again and computes everything anew. Return who it was."""
    here = world.replicas[replica]
    here["runs"] -= 1
    item = int(world.running[replica, here["runs"]])
    request = world.requests[item]
    decoded = decoding(world, item)
    here["queued_tokens"] += request["computed"] + (1 if decoded else 0)
    release(world, replica, item)
    request["computed"] = 0
    request["preempted"] += 1
    if decoded:
        enqueue(world, replica, item)
    else:  # its prompt was under way, so it is in the queue already
        reorder(world, replica)
    return item


@inlined
def complete(world: World, replica: int, now: float) -> None:
    """End the iteration in flight: tokens come out, and who has them all leaves."""
    runs = world.replicas[replica]["runs"]
    kept = 0
    for place in range(runs):
        item = world.running[replica, place]
        request = world.requests[item]
        ended = False
        if request["share"] > 0:
            request["computed"] += request["share"]
            request["share"] = 0
            if request["computed"] == request["prompt"] + request["generated"]:
                ended = _emit(world, replica, item, now)
        if not ended:
            world.running[replica, kept] = item
            kept += 1
    world.replicas[replica]["runs"] = kept


@inlined
def _emit(world: World, replica: int, item: int, now: float) -> bool:
    """Give out a request's next token; tell whether it was the last."""
    request = world.requests[item]
    klass = world.classes[request["klass"]]
    request["generated"] += 1
    if request["generated"] == 1:
        request["first"] = now
    elif not klass["batch"]:
        allowed = klass["deadline"] + klass["pace"] * request["generated"]
        request["late"] = request["late"] or now > request["at"] + allowed
    if request["generated"] < request["output"]:
        return False
    request["finished"] = now
    release(world, replica, item)
    _learn(world, request["klass"], float(request["generated"]))
    return True


@inlined
def _learn(world: World, index: int, tokens: float) -> None:
    """Take note of a finished request's length (Welford 1962)."""
    klass = world.classes[index]
    klass["finished"] += 1.0
    away = tokens - klass["mean"]
    klass["mean"] += away / klass["finished"]
    klass["squares"] += away * (tokens - klass["mean"])
