"""From runs to the result: means, intervals, differences from the baseline, fronts.

The document is what `presage simulate --json` writes: keys sorted, figures to six significant digits, no time
of day, so that equal experiments give equal bytes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from presage_simulator.metrics import DEFINITIONS, Figures
from presage_simulator.pool_figures import against
from presage_simulator.runner import SHOWN, Ran, Task
from presage_simulator.scenario import Scenario
from presage_simulator.statistics import Metrics, estimates, paired

Rows = Mapping[str, Sequence[Ran]]  # runs of one row, one a seed, in order of the seed


@dataclass(frozen=True)
class Comparison:
    """All runs of a scenario, in order, with what perfect foresight says of them."""

    scenario: Scenario
    runs: tuple[Ran, ...]

    @classmethod
    def of(cls, scenario: Scenario, runs: Iterable[Ran]) -> "Comparison":
        """Put runs in order, whatever order they came in."""
        ordered = sorted(runs, key=lambda ran: ran.task)
        needed = {
            (ran.task.point, ran.task.seed): ran
            for ran in ordered
            if ran.task.variant == SHOWN and scenario.systems[ran.task.system].name == scenario.foresight
        }
        judged = (_judged(ran, needed.get((ran.task.point, ran.task.seed))) for ran in ordered)
        return cls(scenario, tuple(judged))

    def shown(self, point: int = 0) -> dict[str, list[Ran]]:
        """Return the runs of each system as it stands, one a seed."""
        return self._rows(lambda task: task.point == point and task.variant == SHOWN)

    def variants(self, system: str, point: int = 0) -> list[list[Ran]]:
        """Return the runs of each point of a system's grid, one a seed."""
        found: dict[int, list[Ran]] = defaultdict(list)
        for ran in self.runs:
            task = ran.task
            own = self.scenario.systems[task.system].name == system and task.point == point
            if own and task.variant != SHOWN:
                found[task.variant].append(ran)
        return [found[variant] for variant in sorted(found)]

    def document(self) -> dict[str, Any]:
        """Return the whole result."""
        swept = self.scenario.swept()
        points = [
            {"values": dict(point.values), **self._point(index)} for index, (point, _) in enumerate(swept)
        ]
        document: dict[str, Any] = {
            "scenario": self.scenario.as_object(),
            "definitions": DEFINITIONS,
            "systems": _as_json(self.overall()),
        }
        if self.scenario.sweep is None:
            document |= {key: value for key, value in points[0].items() if key not in {"values", "systems"}}
        else:
            document |= {"paired": _paired(self.overall(), self.scenario.baseline)}
            document |= {"points": points}
        return document

    def overall(self) -> dict[str, list[Metrics]]:
        """Return each system's figures, one mapping a seed: means over the points of the sweep."""
        rows = [self.shown(point) for point in range(len(self.scenario.swept()))]
        return {
            name: [
                _mean_of(each) for each in zip(*([r.figures for r in row[name]] for row in rows), strict=True)
            ]
            for name in rows[0]
        }

    def _point(self, point: int) -> dict[str, Any]:
        shown = self.shown(point)
        figures: dict[str, list[Metrics]] = {
            name: [ran.figures for ran in runs] for name, runs in shown.items()
        }
        document: dict[str, Any] = {
            "systems": _as_json(figures),
            "paired": _paired(figures, self.scenario.baseline),
        }
        services = [each.name for each in self.scenario.workloads]
        if len(services) > 1:
            document["services"] = {
                service: {
                    "systems": _as_json({n: [r.services[service] for r in rs] for n, rs in shown.items()})
                }
                for service in services
            }
        classes = sorted({name for runs in shown.values() for ran in runs for name in ran.classes})
        if classes:
            document["classes"] = {
                each: {
                    "systems": _as_json({n: [r.classes.get(each, {}) for r in rs] for n, rs in shown.items()})
                }
                for each in classes
            }
        grids = {system.name: self._grid(system.name, point) for system in self.scenario.systems}
        if any(grids.values()):
            document["grid"] = {name: rows for name, rows in grids.items() if rows}
        return document

    def _grid(self, system: str, point: int) -> list[dict[str, Any]]:
        settings = self.scenario.variants(self.scenario.system(system))
        rows = self.variants(system, point)
        return [
            {
                "point": dict(setting.values),
                "metrics": _row([ran.figures for ran in runs]),
                "services": {
                    name: _row([ran.services[name] for ran in runs])
                    for name in (runs[0].services if len(runs[0].services) > 1 else ())
                },
            }
            for (setting, _), runs in zip(settings, rows, strict=False)
        ]

    def _rows(self, chosen: Callable[[Task], bool]) -> dict[str, list[Ran]]:
        found: dict[str, list[Ran]] = defaultdict(list)
        for ran in self.runs:
            if chosen(ran.task):
                found[self.scenario.systems[ran.task.system].name].append(ran)
        return dict(found)


def _judged(ran: Ran, needed: Ran | None) -> Ran:
    """Add what was wasted and missing against perfect foresight under the same seed."""
    if needed is None:
        return ran
    services = {}
    for name, figures in ran.services.items():
        wasted, missing = against(ran.replicas[name], needed.replicas[name], ran.seconds[name])
        services[name] = figures | _regret(wasted, missing)
    sums = [sum(each[key] or 0.0 for each in services.values()) for key in _regret(0, 0)]
    return replace(ran, services=services, figures=ran.figures | _regret(*sums))


def _regret(wasted: float, missing: float) -> Figures:
    return {"wasted_replica_seconds": wasted, "missing_replica_seconds": missing}


def _mean_of(figures: Sequence[Figures]) -> Figures:
    """Return the mean of each figure over the points of a sweep; None where any point has none."""
    means: Figures = {}
    for name in figures[0]:
        values = [each.get(name) for each in figures]
        present = [value for value in values if value is not None]
        means[name] = sum(present) / len(present) if len(present) == len(values) else None
    return means


def _row(runs: Sequence[Metrics]) -> dict[str, Any]:
    return {name: estimate.as_json() for name, estimate in estimates(runs).items()}


def _as_json(rows: Mapping[str, Sequence[Metrics]]) -> dict[str, Any]:
    return {name: _row(runs) for name, runs in rows.items()}


def _paired(rows: Mapping[str, Sequence[Metrics]], baseline: str | None) -> dict[str, Any]:
    if baseline is None or baseline not in rows:
        return {}
    return {
        name: {
            metric: {kind: estimate.as_json() for kind, estimate in kinds.items()}
            for metric, kinds in paired(runs, rows[baseline]).items()
        }
        for name, runs in rows.items()
        if name != baseline
    }
