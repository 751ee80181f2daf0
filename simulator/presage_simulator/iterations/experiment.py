"""Running a scenario of kind Iterations: tasks over processes, and the document made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presage_policies.engine.stratified import NIYAMA_LLAMA_3_8B_A100
from presage_policies.profiles import load_profile

from presage_simulator.data import Tables
from presage_simulator.iterations.deployment import Deployment, EngineModel, Group, Routing, Scheduler
from presage_simulator.iterations.goodput import highest_rate
from presage_simulator.iterations.loads import workload_of
from presage_simulator.iterations.outcome import IterationsOutcome
from presage_simulator.iterations.run import simulate_iterations
from presage_simulator.iterations.scenario import (
    EngineSpec,
    IterationsScenario,
    SchedulerSpec,
    SiloSpec,
    SystemSpec,
)
from presage_simulator.iterations.silos import Silos
from presage_simulator.processes import spread
from presage_simulator.statistics import Metrics, estimates, paired
from presage_simulator.workload import Workload

AS_IS = -1  # the variant that is none


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """One system under one seed, in one variant; all its numbers of replicas."""

    variant: int
    system: int
    seed: int


@dataclass(frozen=True, slots=True)
class Ran:
    """What a task brought: figures by number of replicas."""

    task: Task
    figures: dict[int, Metrics]


@dataclass(frozen=True, slots=True)
class IterationsExperiment:
    """A scenario and the folder that its paths are relative to."""

    scenario: IterationsScenario
    folder: Path

    def tasks(self, systems: Sequence[str] | None = None) -> tuple[Task, ...]:
        """Return every task. Raises ScenarioError for a system that the scenario does not have."""
        scenario = self.scenario
        chosen = {scenario.system(name).name for name in systems or ()} or {s.name for s in scenario.systems}
        asked = {AS_IS: chosen}
        for index, variant in enumerate(scenario.variants):
            asked[index] = chosen & set(variant.systems) if variant.systems else chosen
        return tuple(
            Task(variant, index, seed)
            for variant, names in asked.items()
            for index, system in enumerate(scenario.systems)
            if system.name in names
            for seed in range(scenario.seeds)
        )

    def run(self, tasks: Sequence[Task], jobs: int = 1) -> Iterator[Ran]:
        """Run tasks, over several processes where `jobs` is more than 1, in their order."""
        yield from spread(self.run_one, tasks, jobs)

    def run_one(self, task: Task) -> Ran:
        """Run one task."""
        variant = None if task.variant == AS_IS else self.scenario.variants[task.variant]
        return _Run(self.scenario.varied(variant), self.folder, task).ran()

    def document(self, runs: Sequence[Ran]) -> dict[str, Any]:
        """Return the result: figures at the scenario's replicas, at others, and of the variants."""
        scenario = self.scenario
        here = _rows(scenario, runs, AS_IS)
        totals = sorted({total for ran in runs for total in ran.figures})
        points = [
            {"values": {"replicas": total}, "systems": _as_json(_at(here, total))}
            for total in totals
            if total != scenario.replicas
        ]
        variants = {
            variant.name: _compared(scenario, _at(_rows(scenario, runs, index), scenario.replicas))
            for index, variant in enumerate(scenario.variants)
        }
        document = {"scenario": scenario.as_object(), **_compared(scenario, _at(here, scenario.replicas))}
        return document | {"points": points, "variants": variants}


@dataclass(frozen=True, slots=True)
class _Run:
    """One task on the scenario of its variant."""

    scenario: IterationsScenario
    folder: Path
    task: Task

    def ran(self) -> Ran:
        """Serve the load with every number of replicas, and look for goodput."""
        scenario, system = self.scenario, self.scenario.systems[self.task.system]
        others = system.replicas if self.task.variant == AS_IS else ()
        totals = tuple(sorted({scenario.replicas, *others}))
        load = self._workload(scenario.load.requests_per_second, scenario.load.requests)
        if system.silos is None:
            outcomes = {total: self._shared(system, load, total) for total in totals}
        else:
            outcomes = self._siloed(system.silos, system.routing, load, totals)
        figures = {total: outcome.metrics() for total, outcome in outcomes.items()}
        if scenario.goodput is not None and system.silos is None:
            figures[scenario.replicas]["goodput_per_replica"] = self._goodput(system)
        return Ran(self.task, dict(figures))

    def _goodput(self, system: SystemSpec) -> float:
        spec = self.scenario.goodput
        assert spec is not None
        count = spec.requests

        def worst(rate: float) -> float:
            return self._shared(system, self._workload(rate, count), 1).worst_class()

        return highest_rate(worst, spec.violations, spec.at_most, spec.within)

    def _workload(self, rate: float, count: int | None) -> Workload:
        scenario = self.scenario
        return workload_of(
            scenario.load, scenario.classes, Tables(self.folder), self.task.seed, rate=rate, count=count
        )

    def _shared(self, system: SystemSpec, load: Workload, replicas: int) -> IterationsOutcome:
        assert system.scheduler is not None
        names = tuple(klass.name for klass in load.classes)
        deployment = Deployment(
            (Group(_scheduler(system.scheduler), replicas, names),),
            system.routing,
            system.alpha_idle,
            system.alpha_loaded,
            system.loaded_seconds,
        )
        return simulate_iterations(load, deployment, self._engine(), self.task.seed)

    def _siloed(
        self, specs: tuple[SiloSpec, ...], routing: Routing, load: Workload, totals: tuple[int, ...]
    ) -> dict[int, IterationsOutcome]:
        by_class = {spec.klass: spec for spec in specs}
        ordered = [by_class[klass.name] for klass in load.classes]
        schedulers = tuple(_scheduler(spec.scheduler) for spec in ordered)
        silos = Silos(schedulers, routing, self._engine(), self.task.seed)
        named = tuple(spec.replicas for spec in ordered if spec.replicas is not None)
        return {sum(named): silos.fixed(load, named)} if named else silos.best(load, totals)

    def _engine(self) -> EngineModel:
        return _engine(self.scenario.engine)


def _engine(spec: EngineSpec) -> EngineModel:
    if spec.profile is not None:
        return EngineModel.of_profile(load_profile(spec.profile))
    assert spec.kv_capacity_tokens is not None
    return EngineModel(NIYAMA_LLAMA_3_8B_A100, spec.kv_capacity_tokens, spec.block_tokens, spec.max_sequences)


def _scheduler(spec: SchedulerSpec) -> Scheduler:
    return Scheduler(spec.order, spec.chunk_tokens, spec.relegates)


def _rows(scenario: IterationsScenario, runs: Sequence[Ran], variant: int) -> dict[str, list[Ran]]:
    """Return the runs of each system in a variant, in order of the seed."""
    rows: dict[str, list[Ran]] = {}
    for ran in sorted((ran for ran in runs if ran.task.variant == variant), key=lambda ran: ran.task):
        rows.setdefault(scenario.systems[ran.task.system].name, []).append(ran)
    return rows


def _at(rows: dict[str, list[Ran]], total: int) -> dict[str, list[Metrics]]:
    """Return the figures at a number of replicas, of the systems that were tried with it."""
    return {
        name: [ran.figures[total] for ran in runs] for name, runs in rows.items() if total in runs[0].figures
    }


def _compared(scenario: IterationsScenario, rows: dict[str, list[Metrics]]) -> dict[str, Any]:
    compared: dict[str, Any] = {"systems": _as_json(rows)}
    baseline = rows.get(scenario.baseline or "")
    if baseline is not None:
        compared["paired"] = {
            name: {
                metric: {kind: estimate.as_json() for kind, estimate in kinds.items()}
                for metric, kinds in paired(own, baseline).items()
            }
            for name, own in rows.items()
            if name != scenario.baseline
        }
    return compared


def _as_json(rows: dict[str, list[Metrics]]) -> dict[str, Any]:
    return {
        name: {metric: estimate.as_json() for metric, estimate in estimates(runs).items()}
        for name, runs in rows.items()
    }
