"""Silos at their best: replicas shared out among classes with the fewest violations, in hindsight.

Classes do not touch each other in a silo, so each is simulated alone, once for every number of replicas.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from presage_simulator.iterations.deployment import Deployment, EngineModel, Group, Routing, Scheduler
from presage_simulator.iterations.loads import only
from presage_simulator.iterations.outcome import IterationsOutcome
from presage_simulator.iterations.run import simulate_iterations
from presage_simulator.workload import Workload


@dataclass(frozen=True, slots=True)
class Silos:
    """Schedulers by class, in order of the workload's classes, and how requests find a replica of theirs."""

    schedulers: tuple[Scheduler, ...]
    routing: Routing
    engine: EngineModel
    seed: int

    def best(self, workload: Workload, totals: tuple[int, ...]) -> dict[int, IterationsOutcome]:
        """Return, for each total of replicas, the outcome of the best way to share them out.

        Raises ValueError when there are fewer replicas than classes.
        """
        classes = len(workload.classes)
        if min(totals) < classes:
            raise ValueError(f"replicas is {min(totals)}: silos of {classes} classes need at least as many")
        alone = [self._alone(workload, index, max(totals) - classes + 1) for index in range(classes)]
        missed = [[int(outcome.violated.sum()) for outcome in row] for row in alone]
        best = {}
        for total in totals:
            shares = [s for s in product(*(range(1, len(row) + 1) for row in alone)) if sum(s) <= total]
            chosen = min(shares, key=lambda s: (sum(missed[i][n - 1] for i, n in enumerate(s)), s))
            parts = [alone[i][n - 1] for i, n in enumerate(chosen)]
            best[total] = replace(_together(workload, parts), replicas=total)
        return best

    def fixed(self, workload: Workload, replicas: tuple[int, ...]) -> IterationsOutcome:
        """Return the outcome with so many replicas for each class."""
        groups = tuple(
            Group(scheduler, count, (klass.name,))
            for scheduler, count, klass in zip(self.schedulers, replicas, workload.classes, strict=True)
        )
        return simulate_iterations(workload, Deployment(groups, self.routing), self.engine, self.seed)

    def _alone(self, workload: Workload, index: int, most: int) -> list[IterationsOutcome]:
        """Serve a class alone with 1, 2, … replicas, until nobody misses: more are of no use then."""
        part, silo = only(workload, index), replace(self, schedulers=(self.schedulers[index],))
        outcomes: list[IterationsOutcome] = []
        while len(outcomes) < most and not (outcomes and not outcomes[-1].violated.any()):
            outcomes.append(silo.fixed(part, (len(outcomes) + 1,)))
        return outcomes


def _together(workload: Workload, parts: list[IterationsOutcome]) -> IterationsOutcome:
    """Put the outcomes of classes, in their order, together again."""
    count = len(workload)
    columns = {
        name: np.zeros(count, dtype=getattr(parts[0], name).dtype)
        for name in ("first_token", "finished", "late", "relegated", "preempted", "replica")
    }
    before = 0
    for index, part in enumerate(parts):
        here = workload.klass == index
        for name, column in columns.items():
            column[here] = getattr(part, name)
        columns["replica"][here] += before
        before += part.replicas
    return IterationsOutcome(
        workload,
        before,
        **columns,
        iterations=sum(part.iterations for part in parts),
        busy_seconds=sum(part.busy_seconds for part in parts),
        kv_peak=max(part.kv_peak for part in parts),
    )
