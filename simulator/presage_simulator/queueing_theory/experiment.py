"""SCENARIO.yaml of kind SingleServer: mean responses simulated beside exact and published ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from presage_simulator.processes import spread
from presage_simulator.queueing_theory.disciplines import DISCIPLINES
from presage_simulator.queueing_theory.single_server import BATCHES, simulate_queue
from presage_simulator.scenario import ScenarioError
from presage_simulator.scenario.part import Part
from presage_simulator.scenario.service import Name
from presage_simulator.statistics import Estimate, Metrics, estimates

PUBLISHED_LOAD = 0.8


class SingleServerScenario(Part):
    """M/M/1 with mean service 1 under every discipline that theory has an answer for."""

    kind: Literal["SingleServer"]
    """What sets this kind of scenario apart."""

    name: Name
    """What it is called."""

    description: str = ""
    """What it asks."""

    load: Annotated[float, Field(gt=0, lt=1)] = PUBLISHED_LOAD
    """Share of time in service."""

    requests: Annotated[int, Field(ge=BATCHES)] = 20_000_000
    """How many end in each run."""

    seeds: Annotated[int, Field(ge=1)] = 1
    """Repetitions: seeds 0, 1, …"""


@dataclass(frozen=True, slots=True, order=True)
class QueueTask:
    """One discipline under one seed."""

    discipline: int
    seed: int


@dataclass(frozen=True, slots=True)
class QueueRan:
    """What a task brought."""

    task: QueueTask
    figures: Metrics


@dataclass(frozen=True, slots=True)
class SingleServerExperiment:
    """The runs of a scenario, and the document made of them."""

    scenario: SingleServerScenario

    def tasks(self, systems: Sequence[str] | None = None) -> tuple[QueueTask, ...]:
        """Return every task. Raises ScenarioError for a discipline that there is not."""
        known = [discipline.name for discipline in DISCIPLINES]
        for name in systems or ():
            if name not in known:
                raise ScenarioError(f"there is no system {name!r}: there are {', '.join(known)}")
        return tuple(
            QueueTask(index, seed)
            for index, name in enumerate(known)
            if not systems or name in systems
            for seed in range(self.scenario.seeds)
        )

    def run(self, tasks: Sequence[QueueTask], jobs: int = 1) -> Iterator[QueueRan]:
        """Run tasks, over several processes where `jobs` is more than 1, in their order."""
        yield from spread(self.run_one, tasks, jobs)

    def run_one(self, task: QueueTask) -> QueueRan:
        """Run one task."""
        discipline, load = DISCIPLINES[task.discipline], self.scenario.load
        responses = simulate_queue(discipline, load, self.scenario.requests, task.seed)
        figures: dict[str, float | None] = {
            "response_mean": responses.mean,
            "response_exact": discipline.exact(load),
            "response_published": discipline.published if load == PUBLISHED_LOAD else None,
        }
        return QueueRan(task, figures)

    def document(self, runs: Sequence[QueueRan]) -> dict[str, Any]:
        """Return the result: figures of each discipline."""
        rows: dict[str, list[Metrics]] = {}
        for ran in sorted(runs, key=lambda ran: ran.task):
            rows.setdefault(DISCIPLINES[ran.task.discipline].name, []).append(ran.figures)
        return {
            "scenario": self.scenario.as_object(),
            "systems": {name: _row(estimates(own)) for name, own in rows.items()},
        }


def _row(estimated: dict[str, Estimate]) -> dict[str, Any]:
    return {metric: estimate.as_json() for metric, estimate in estimated.items()}
