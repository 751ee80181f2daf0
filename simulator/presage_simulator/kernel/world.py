"""Making a world, and making it larger: growing copies arrays, which happens a few times a run at most."""

import math
from typing import Any

import numpy as np
from presage_policies.engine import EngineProfile
from presage_policies.queueing.least_slack import LATE_TURN

from presage_simulator.kernel.front import ORDERS, POLICIES
from presage_simulator.kernel.state import (
    BID,
    EARLY,
    FATE,
    FRONT,
    INSTANCE,
    LATE,
    NONE,
    REQUEST,
    SETTING,
    Engine,
    Guards,
    Part,
    Prefixes,
    Records,
    Scratch,
    World,
)
from presage_simulator.systems import Routing
from presage_simulator.workload import PrefixBlocks, SLOClass

SAMPLE_SECONDS = 1.0  # between samples of KV use
FIRST_SLOTS = 4096  # requests inside at a time, to begin with
FATES = 1 << 14  # the least that the log holds before Python empties it


def make_world(
    profile: EngineProfile,
    routing: Routing,
    classes: tuple[SLOClass, ...],
    instances: int,
    prefix: PrefixBlocks | None,
) -> World:
    """Return a world without instances or requests. Raises ValueError for an unknown policy or order."""
    width = profile.max_sequences + 2
    return World(
        profile=Engine.of(profile),
        objectives=np.array([_promised(one) for one in classes]),
        setting=_setting(routing, prefix),
        front=_front(routing),
        requests=np.zeros(FIRST_SLOTS, REQUEST),
        free=np.arange(FIRST_SLOTS, dtype=np.int64),
        live=_guards(instances, width),
        seen=_guards(instances, width) if routing.age_seconds > 0 else _guards(1, 1),
        running=np.zeros((instances, profile.max_sequences), np.int64),
        ready=np.zeros(instances, np.int64),
        due=np.full(instances, math.inf),
        heap=np.arange(instances, dtype=np.int64),
        place=np.arange(instances, dtype=np.int64),
        part=empty_part(),
        prefixes=_prefixes(instances, prefix),
        fates=np.zeros(FATES + profile.max_sequences + routing.max_waiting, FATE),
        scratch=_scratch(instances, width, profile.block_tokens),
    )


def empty_part() -> Part:
    """Return a part without requests."""
    return Part(
        np.zeros(0),
        np.zeros(0, np.int32),
        np.zeros(0, np.int32),
        np.zeros(0),
        np.zeros(0, np.int16),
        np.zeros((0, 2)),
    )


def with_more_slots(w: World) -> World:
    """Return the world with twice as many slots for requests."""
    had = len(w.requests)
    free = np.zeros(2 * had, np.int64)
    free[: w.front[0]["free"]] = w.free[: w.front[0]["free"]]
    free[w.front[0]["free"] : w.front[0]["free"] + had] = np.arange(had, 2 * had)
    w.front[0]["free"] += had
    return w._replace(requests=_grown(w.requests, (2 * had,)), free=free)


def with_more_ramps(w: World) -> World:
    """Return the world with room for twice as many requests at an instance."""
    instances, width = w.live.slots.shape
    width = 2 * max(width, int(w.front[0]["crowd"] + w.front[0]["waiting"]))
    return w._replace(
        live=_grown_guards(w.live, instances, width),
        seen=_grown_guards(w.seen, len(w.seen.instances), width if w.setting[0]["age"] > 0 else 1),
        scratch=_scratch(instances, width, w.profile.block_tokens),
    )


def with_more_instances(w: World) -> World:
    """Return the world with room for twice as many instances."""
    had, width = w.live.slots.shape
    count = 2 * had
    heap = np.concatenate([w.heap, np.arange(had, count, dtype=np.int64)])  # idle ones are last in any order
    return w._replace(
        live=_grown_guards(w.live, count, width),
        seen=_grown_guards(w.seen, count, width) if w.setting[0]["age"] > 0 else w.seen,
        running=_grown(w.running, (count, w.running.shape[1])),
        ready=_grown(w.ready, (count,)),
        due=_grown(w.due, (count,), math.inf),
        heap=heap,
        place=np.concatenate([w.place, np.arange(had, count, dtype=np.int64)]),
        prefixes=w.prefixes._replace(
            users=_grown(w.prefixes.users, (count, w.prefixes.users.shape[1]), NONE),
            older=_grown(w.prefixes.older, (count, w.prefixes.older.shape[1])),
            newer=_grown(w.prefixes.newer, (count, w.prefixes.newer.shape[1])),
        ),
        scratch=_scratch(count, width, w.profile.block_tokens),
    )


def _promised(one: SLOClass) -> tuple[float, float, float]:
    deadline = math.inf if one.deadline_seconds is None else one.deadline_seconds
    return one.objectives.ttft_seconds, one.objectives.tpot_seconds, deadline


def _setting(routing: Routing, prefix: PrefixBlocks | None) -> Records:
    for field, known in (("policy", POLICIES), ("order", ORDERS)):
        if getattr(routing, field) not in known:
            raise ValueError(
                f"routing.{field} is {getattr(routing, field)!r}: give one of {', '.join(sorted(known))}"
            )
    setting = np.zeros(1, SETTING)
    one = setting[0]
    one["policy"], one["bids"] = POLICIES[routing.policy], routing.bids
    one["binding"] = EARLY if routing.binding == "early" else LATE
    one["order"], one["late_turn"] = ORDERS[routing.order], _late_turn(routing)
    one["age"], one["sample"] = routing.age_seconds, SAMPLE_SECONDS
    one["max_waiting"], one["max_wait"] = routing.max_waiting, routing.max_wait_seconds
    one["prefix_tokens"] = 0 if prefix is None else prefix.block_tokens
    return setting


def _late_turn(routing: Routing) -> int:
    return LATE_TURN if routing.order == "LeastSlack" else 0


def _front(routing: Routing) -> Records:
    front = np.zeros(1, FRONT)
    one = front[0]
    one["free"] = FIRST_SLOTS
    for name in ("turn", "head", "tail", "lapsed_head", "lapsed_tail", "oldest", "newest", "checked"):
        one[name] = NONE
    one["snapshot"] = routing.age_seconds if routing.age_seconds > 0 else math.inf
    one["sampled"] = SAMPLE_SECONDS
    return front


def _guards(instances: int, width: int) -> Guards:
    records = np.zeros(instances, INSTANCE)
    for name in ("first", "last", "oldest", "newest"):
        records[name] = NONE
    return Guards(
        records,
        np.zeros((instances, width), np.int64),
        np.zeros((instances, width), np.int64),
        np.zeros((instances, width), np.int64),
        np.zeros((instances, width), np.int64),
        np.zeros((instances, width), np.int64),
        np.zeros((instances, width), np.int64),
    )


def _grown_guards(had: Guards, instances: int, width: int) -> Guards:
    new = _guards(instances, width)
    count, wide = had.slots.shape
    new.instances[:count] = had.instances
    for one, other in zip(new[1:], had[1:], strict=True):
        one[:count, :wide] = other
    return new


def _prefixes(instances: int, prefix: PrefixBlocks | None) -> Prefixes:
    ids = 1 if prefix is None else max(1, prefix.distinct)
    rows = 1 if prefix is None else instances
    return Prefixes(
        np.zeros(0, np.int64) if prefix is None else prefix.ids.astype(np.int64),
        np.zeros(1, np.int64) if prefix is None else np.ascontiguousarray(prefix.offsets),
        np.full(ids, NONE, np.int64),
        np.full((rows, ids), NONE, np.int32),
        np.zeros((rows, ids), np.int32),
        np.zeros((rows, ids), np.int32),
    )


def _scratch(instances: int, width: int, block_tokens: int) -> Scratch:
    return Scratch(
        np.zeros(instances, np.int64),
        np.zeros(instances, BID),
        np.zeros(2 * width),
        np.zeros(2 * width),
        np.zeros(2 * width),
        np.zeros(2 * width + 1),
        np.zeros(block_tokens, np.int64),
    )


def _grown(array: Any, shape: tuple[int, ...], fill: float = 0) -> Any:
    new = np.full(shape, fill, array.dtype) if array.dtype.names is None else np.zeros(shape, array.dtype)
    new[tuple(slice(0, size) for size in array.shape)] = array
    return new
