"""Setting up the compiled world from a workload and a deployment, and running it."""

from math import inf

import numpy as np
from presage_policies.chunking import niyama

from presage_simulator.iterations.deployment import ORDERS, Deployment, EngineModel
from presage_simulator.iterations.kernel import run
from presage_simulator.iterations.outcome import IterationsOutcome
from presage_simulator.iterations.world import CLASS, REPLICA, REQUEST, SETTING, Ints, Records, World
from presage_simulator.workload import Workload


def simulate_iterations(
    workload: Workload, deployment: Deployment, engine: EngineModel, seed: int
) -> IterationsOutcome:
    """Serve a workload iteration by iteration until every request has ended.

    The same to the last bit in its seed, which Random routing alone uses. Raises ValueError when a class
    is served by no group or by two, or a request fits no KV cache.
    """
    _check(workload, deployment, engine)
    world = _world(workload, deployment, engine, seed)
    run(world)
    requests, replicas = world.requests, world.replicas
    return IterationsOutcome(
        workload,
        deployment.replicas,
        requests["first"],
        requests["finished"],
        requests["late"],
        requests["relegated"],
        requests["preempted"],
        requests["home"],
        iterations=int(replicas["iterations"].sum()),
        busy_seconds=float(replicas["busy"].sum()),
        kv_peak=float(replicas["peak"].max()) * engine.block_tokens / engine.kv_capacity_tokens,
    )


def _check(workload: Workload, deployment: Deployment, engine: EngineModel) -> None:
    served = sorted(name for group in deployment.groups for name in group.classes)
    asked = sorted(klass.name for klass in workload.classes)
    if served != asked:
        raise ValueError(f"groups serve the classes {served}: give each of {asked} exactly once")
    capacity = engine.kv_capacity_tokens // engine.block_tokens * engine.block_tokens
    longest = int((workload.prompt_tokens + workload.output_tokens).max(initial=0))
    if longest > capacity:
        raise ValueError(f"kv_capacity_tokens holds {capacity} tokens and a request has {longest}: give more")


def _world(workload: Workload, deployment: Deployment, engine: EngineModel, seed: int) -> World:
    spans = _spans(workload, deployment)
    count, replicas = len(workload), deployment.replicas
    return World(
        _requests(workload, _homes(workload, deployment, spans, seed)),
        np.zeros(count),
        _classes(workload, spans),
        _replicas(deployment),
        np.zeros((replicas, engine.max_sequences), dtype=np.int32),
        np.zeros((replicas, count), dtype=np.int32),
        engine.time.table(),
        np.array(niyama.TOKENS_OF_A_BATCH, dtype=np.int32),
        _setting(deployment, engine),
    )


def _spans(workload: Workload, deployment: Deployment) -> Ints:
    """Return the replicas [first, last) that serve each class, shape [classes, 2]."""
    spans = np.zeros((len(workload.classes), 2), dtype=np.int32)
    names = [klass.name for klass in workload.classes]
    first = 0
    for group in deployment.groups:
        for name in group.classes:
            spans[names.index(name)] = first, first + group.replicas
        first += group.replicas
    return spans


def _homes(workload: Workload, deployment: Deployment, spans: Ints, seed: int) -> Ints:
    """Return each request's replica where that does not depend on what happens; -1 otherwise."""
    homes = np.full(len(workload), -1, dtype=np.int32)
    if deployment.routing == "LeastPrefill":
        return homes
    rng = np.random.default_rng(seed)
    for first, last in np.unique(spans, axis=0):
        here = np.flatnonzero(spans[workload.klass, 0] == first)
        turns = rng.integers(last - first, size=len(here))
        if deployment.routing == "RoundRobin":
            turns = np.arange(len(here)) % (last - first)
        homes[here] = first + turns
    return homes


def _requests(workload: Workload, homes: Ints) -> Records:
    requests = np.zeros(len(workload), dtype=REQUEST)
    requests["at"] = workload.at
    requests["prompt"] = workload.prompt_tokens
    requests["output"] = workload.output_tokens
    requests["klass"] = workload.klass
    requests["home"] = homes
    requests["first"] = requests["finished"] = np.nan
    return requests


def _classes(workload: Workload, spans: Ints) -> Records:
    classes = np.zeros(len(workload.classes), dtype=CLASS)
    classes["deadline"] = [c.deadline_seconds or c.objectives.ttft_seconds for c in workload.classes]
    classes["pace"] = [c.objectives.tpot_seconds for c in workload.classes]
    classes["batch"] = [c.deadline_seconds is not None for c in workload.classes]
    classes["first"], classes["last"] = spans[:, 0], spans[:, 1]
    return classes


def _replicas(deployment: Deployment) -> Records:
    schedulers = [group.scheduler for group in deployment.groups for _ in range(group.replicas)]
    replicas = np.zeros(len(schedulers), dtype=REPLICA)
    replicas["order"] = [ORDERS[scheduler.order] for scheduler in schedulers]
    replicas["budget"] = [scheduler.budget for scheduler in schedulers]
    replicas["dynamic"] = [scheduler.chunk_tokens is None for scheduler in schedulers]
    replicas["relegates"] = [scheduler.relegates for scheduler in schedulers]
    replicas["ends"] = inf
    replicas["rate"] = niyama.FIRST_RATE
    return replicas


def _setting(deployment: Deployment, engine: EngineModel) -> Records:
    setting = np.zeros(1, dtype=SETTING)
    setting["split_tokens"] = engine.time.split_tokens
    setting["blocks"] = engine.kv_capacity_tokens // engine.block_tokens
    setting["block_tokens"] = engine.block_tokens
    setting["max_sequences"] = engine.max_sequences
    setting["margin"] = niyama.MARGIN
    setting["alpha_idle"], setting["alpha_loaded"] = deployment.alpha_idle, deployment.alpha_loaded
    setting["loaded_seconds"] = deployment.loaded_seconds
    return setting
