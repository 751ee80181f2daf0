"""The event loop: arrivals, and ends of iterations on any replica; arrivals first at equal times."""

from math import inf

from presage_simulator.iterations import engine, schedule
from presage_simulator.iterations.world import World
from presage_simulator.kernel.compiled import entry, inlined


@inlined
def _first_to_end(world: World) -> int:
    """Return the replica whose iteration ends first."""
    first = 0
    for replica in range(1, len(world.replicas)):
        if world.replicas[replica]["ends"] < world.replicas[first]["ends"]:
            first = replica
    return first


@inlined
def _home(world: World, item: int) -> int:
    """Return where a request goes: where it was sent, or to the least queued prefill of its group."""
    request = world.requests[item]
    if request["home"] >= 0:
        return int(request["home"])
    klass = world.classes[request["klass"]]
    best = int(klass["first"])
    for replica in range(best + 1, klass["last"]):
        this, other = world.replicas[replica], world.replicas[best]
        if this["queued_tokens"] < other["queued_tokens"] or (
            this["queued_tokens"] == other["queued_tokens"] and this["runs"] < other["runs"]
        ):
            best = replica
    return best


@entry
def run(world: World) -> None:
    """Run until every request has ended."""
    requests, replicas = world.requests, world.replicas
    arrived, count = 0, len(requests)
    while True:
        replica = _first_to_end(world)
        ends = replicas[replica]["ends"]
        if arrived < count and requests[arrived]["at"] <= ends:
            now = requests[arrived]["at"]
            home = _home(world, arrived)
            engine.arrive(world, home, arrived)
            arrived += 1
            if replicas[home]["ends"] == inf:
                schedule.begin(world, home, now)
        elif ends < inf:
            engine.complete(world, replica, ends)
            schedule.begin(world, replica, ends)
        else:
            return
