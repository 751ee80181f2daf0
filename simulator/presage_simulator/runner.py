"""Runs an experiment: every system, at every point of its grid, under every seed, over several processes.

A run is a function of (point of the sweep, system, point of its grid, seed) and of nothing else, and results
are put in order before anything is computed from them, so that any number of processes gives the same bytes.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from presage_policies.engine import sustainable_rates
from presage_policies.profiles import load_profile

from presage_simulator.data import Tables
from presage_simulator.metrics import Fates, Figures, fates, request_figures
from presage_simulator.pool_figures import ScaleUp, scale_ups, share_in_time, together
from presage_simulator.results import Outcome, ReplicaSteps
from presage_simulator.scenario import Scenario, SystemSpec, WorkloadSpec
from presage_simulator.simulation import simulate
from presage_simulator.sources import Load, load_of, objectives
from presage_simulator.stories import Story, story_of
from presage_simulator.systems import ColdStart, ForecastTrack, Pool, System
from presage_simulator.workload import Workload

SHOWN = -1  # the variant of a system as it stands; others number the points of its grid
FAVOURED_SEED = 0  # the one whose story the report tells


@dataclass(frozen=True, slots=True)
class Experiment:
    """A scenario and the folder that its paths are relative to."""

    scenario: Scenario
    folder: Path


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """One run: indices of the sweep's point, the system and the point of its grid, and the seed."""

    point: int
    seed: int
    system: int
    variant: int


@dataclass(frozen=True, slots=True)
class Service:
    """What a system is composed for: a service with its load under one seed."""

    spec: WorkloadSpec
    load: Load
    pool: Pool
    seed: int
    folder: Path


Compose = Callable[[Service, SystemSpec], System]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run brought: figures of all requests, by service and by class; what services did.

    Stories are told of systems as they stand, under one seed.
    """

    task: Task
    figures: Figures
    services: dict[str, Figures]
    classes: dict[str, Figures]
    replicas: dict[str, ReplicaSteps]
    seconds: dict[str, float]
    stories: dict[str, Story]


def tasks_of(scenario: Scenario, systems: Sequence[str] | None = None) -> tuple[Task, ...]:
    """Return every run of a scenario, in order. Raises ScenarioError for a system that it does not have."""
    chosen = {scenario.system(name).name for name in systems} if systems else None
    tasks = []
    for point, (_, swept) in enumerate(scenario.swept()):
        for index, system in enumerate(swept.systems):
            if chosen is not None and system.name not in chosen:
                continue
            tasks += [Task(point, seed, index, SHOWN) for seed in range(scenario.seeds)]
            variants = range(len(swept.variants(system)))
            tasks += [Task(point, seed, index, v) for seed in range(scenario.grid_seeds) for v in variants]
    return tuple(sorted(tasks))


def run(experiment: Experiment, tasks: Sequence[Task], compose: Compose, jobs: int = 1) -> Iterator[Ran]:
    """Run tasks over `jobs` processes; yield what each brought as it comes, in no particular order."""
    if jobs <= 1:
        worker = Worker(experiment, compose)
        yield from (worker.run(task) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _hire, (experiment, compose)) as pool:
        futures = [pool.submit(_work, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Worker:
    """Runs tasks one after another; keeps the loads of the last point and seed."""

    def __init__(self, experiment: Experiment, compose: Compose) -> None:
        self._points = tuple(scenario for _, scenario in experiment.scenario.swept())
        self._folder = experiment.folder
        self._compose = compose
        self._kept: tuple[tuple[int, int], tuple[Service, ...]] | None = None

    def run(self, task: Task) -> Ran:
        """Run one task."""
        scenario = self._points[task.point]
        system = scenario.systems[task.system]
        if task.variant != SHOWN:
            system = scenario.variants(system)[task.variant][1]
        parts = [self._serve(service, system, scenario, task) for service in self._services(task)]
        return _ran(task, parts)

    def _services(self, task: Task) -> tuple[Service, ...]:
        key = (task.point, task.seed)
        if self._kept is None or self._kept[0] != key:
            scenario = self._points[task.point]
            self._kept = (
                key,
                tuple(_service(scenario, each, task.seed, self._folder) for each in scenario.workloads),
            )
        return self._kept[1]

    def _serve(self, service: Service, spec: SystemSpec, scenario: Scenario, task: Task) -> "_Served":
        system = self._compose(service, spec)
        pool = _pool_for(service, spec)
        load = service.load
        outcome = simulate(pool, system, _promised(load.workload, spec), task.seed, until=load.seconds)
        told = fates(outcome, service.load.workload)
        story = None
        if task.variant == SHOWN and task.seed == FAVOURED_SEED and task.point == 0:
            story = story_of(outcome, told, service.load, _track(system))
        return _Served(
            service, outcome, told, _judged(service, outcome, scenario), service.load.seconds, story
        )


@dataclass(frozen=True, slots=True)
class _Served:
    """One service under one system."""

    service: Service
    outcome: Outcome
    told: Fates
    ups: list[ScaleUp]
    seconds: float
    story: Story | None


_hired: list[Worker] = []  # a process has one worker, for as long as it lives


def _hire(experiment: Experiment, compose: Compose) -> None:
    _hired.append(Worker(experiment, compose))


def _work(task: Task) -> Ran:
    return _hired[0].run(task)


def _service(scenario: Scenario, spec: WorkloadSpec, seed: int, folder: Path) -> Service:
    pool, name = scenario.pool_of(spec), scenario.profile_of(spec)
    is_path = "/" in name or name.endswith((".yaml", ".yml", ".json"))
    return Service(
        spec,
        load_of(scenario, spec, Tables(folder), seed),
        Pool(
            profile=load_profile(folder / name if is_path else name),
            minimum=pool.min,
            maximum=pool.max,
            initial=pool.first,
            cold_start=ColdStart(pool.cold_start.p50_seconds, pool.cold_start.p90_seconds),
        ),
        seed,
        folder,
    )


def _pool_for(service: Service, spec: SystemSpec) -> Pool:
    """Return the pool as a system begins with it; a system's own bounds and start go before the pool's."""
    pool, scaling = service.pool, spec.scaling
    minimum = pool.minimum if scaling is None or scaling.min_replicas is None else scaling.min_replicas
    maximum = pool.maximum if scaling is None or scaling.max_replicas is None else scaling.max_replicas
    initial = min(maximum, max(minimum, spec.replicas_of(service.spec.name, pool.initial)))
    return Pool(pool.profile, min(minimum, initial), maximum, initial, pool.cold_start)


def _promised(workload: Workload, spec: SystemSpec) -> Workload:
    """Return the workload with the percentile that a system sizes for."""
    percentile = None if spec.scaling is None else spec.scaling.percentile
    if percentile is None:
        return workload
    classes = (
        replace(each, objectives=replace(each.objectives, percentile=percentile)) for each in workload.classes
    )
    return replace(workload, classes=tuple(classes))


def _track(system: System) -> ForecastTrack | None:
    return None if system.scaler is None else system.scaler.forecasts


def _judged(service: Service, outcome: Outcome, scenario: Scenario) -> list[ScaleUp]:
    """Return the scale-ups, judged by the load that came and what one instance sustains of it."""
    workload = service.load.workload
    if len(workload) == 0:
        return []
    sustained = sustainable_rates(
        service.pool.profile,
        float(workload.prompt_tokens.mean()),
        float(workload.output_tokens.mean()),
        objectives(scenario.objectives_of(service.spec)),
    )
    return scale_ups(outcome.replicas, service.load.demand, scenario.window_seconds, sustained.total)


def _ran(task: Task, parts: list[_Served]) -> Ran:
    seconds = max(part.seconds for part in parts)
    told = Fates.joined([part.told for part in parts])
    return Ran(
        task=task,
        figures=request_figures(told, seconds) | _pool_figures(parts),
        services={
            part.service.spec.name: request_figures(part.told, part.seconds) | _pool_figures([part])
            for part in parts
        },
        classes=_class_figures(parts, told, seconds),
        replicas={part.service.spec.name: part.outcome.replicas for part in parts},
        seconds={part.service.spec.name: part.seconds for part in parts},
        stories={part.service.spec.name: part.story for part in parts if part.story is not None},
    )


def _pool_figures(parts: list[_Served]) -> Figures:
    """Return the figures of pods; shares are weighed by replica-seconds, everything else adds up."""
    outcomes = [part.outcome for part in parts]
    weights = np.array([outcome.replica_seconds for outcome in outcomes])
    ups = [up for part in parts for up in part.ups]
    requests = sum(len(part.told.met) for part in parts)
    return {
        "replica_seconds": float(weights.sum()),
        "mean_replicas": sum(
            part.outcome.replica_seconds / max(part.outcome.ended_at, part.seconds) for part in parts
        ),
        "peak_replicas": float(together([outcome.replicas for outcome in outcomes]).current.max()),
        "scale_ups": float(len(ups)),
        "ready_before_needed": share_in_time(ups),
        "kv_use": _weighed([outcome.kv_use_mean for outcome in outcomes], weights),
        "imbalance": _weighed([outcome.imbalance for outcome in outcomes], weights),
        "messages": sum(outcome.messages for outcome in outcomes) / max(1, requests),
    }


def _weighed(values: list[float], weights: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float | None:
    total = float(weights.sum())
    return float(np.array(values) @ weights) / total if total > 0 else None


def _class_figures(parts: list[_Served], told: Fates, seconds: float) -> dict[str, Figures]:
    """Return the figures of each class's requests over all services; nothing with a single class."""
    names = [
        np.array([each.name for each in part.service.load.workload.classes])[part.service.load.workload.klass]
        for part in parts
    ]
    everyone = np.concatenate(names)
    present = sorted(set(everyone.tolist()))
    if len(present) < 2:  # noqa: PLR2004 - one class is everyone
        return {}
    return {str(name): request_figures(told.only(everyone == name), seconds) for name in present}
