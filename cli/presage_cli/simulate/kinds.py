"""`presage simulate` for scenarios with a kind of their own: progress, tables, JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presage_simulator.kinds import experiment_of_kind
from presage_simulator.scenario import ScenarioError
from presage_simulator.statistics import written
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

Column = tuple[str, str, float, int]  # metric, heading, factor, decimals
COLUMNS: dict[str, tuple[Column, ...]] = {
    "Iterations": (
        ("violations", "violations %", 100, 3),
        ("violations_worst_class", "worst class %", 100, 3),
        ("violations_with_tbt", "with TBT %", 100, 3),
        ("goodput", "goodput req/s", 1, 2),
        ("goodput_per_replica", "goodput of one replica req/s", 1, 2),
        ("utilisation", "utilisation %", 100, 1),
    ),
    "SingleServer": (
        ("response_mean", "simulated", 1, 4),
        ("response_exact", "exact", 1, 4),
        ("response_published", "published", 1, 4),
    ),
}


def simulated_kind(
    scenario: Path | None,
    seeds: int | None,
    systems: tuple[str, ...] | None,
    jobs: int,
    *,
    json: Path | None,
    report: Path | None,
    console: Console,
) -> bool:
    """Run a scenario that names its kind, write its document and print its tables; False for any other.

    Progress goes to standard error. Raises ScenarioError that names the field at fault.
    """
    experiment = None if scenario is None else experiment_of_kind(scenario, seeds)
    if experiment is None:
        return False
    if report is not None:
        raise ScenarioError("--report draws comparisons of services; a scenario with a kind has --json alone")
    tasks = experiment.tasks(systems)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    runs = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(experiment.scenario.name, total=len(tasks))
        for ran in experiment.run(tasks, min(jobs, len(tasks))):
            runs.append(ran)
            progress.advance(bar)
    document = experiment.document(runs)
    if json is not None:
        json.write_text(written(document), "utf-8")
    for table in _tables(experiment.scenario.kind, document):
        console.print(table)
    return True


def _tables(kind: str, document: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a document: the systems, then every other setting."""
    found = [_table("", kind, document["systems"])]
    for point in document.get("points", ()):
        title = ", ".join(f"{name} {value}" for name, value in point["values"].items())
        found.append(_table(title, kind, point["systems"]))
    for name, variant in document.get("variants", {}).items():
        found.append(_table(name, kind, variant["systems"]))
    return found


def _table(title: str, kind: str, systems: Mapping[str, Any]) -> Table:
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("system", no_wrap=True)
    for _, heading, _, _ in COLUMNS[kind]:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, metrics in systems.items():
        table.add_row(
            name, *(_told(metrics.get(m), factor, places) for m, _, factor, places in COLUMNS[kind])
        )
    return table


def _told(estimate: Mapping[str, Any] | None, factor: float, decimals: int) -> str:
    """Write an estimate out: the mean and its interval's half-width."""
    if estimate is None or estimate["mean"] is None:
        return ""
    mean, (low, high) = estimate["mean"], estimate["ci95"]
    if low is None:
        return f"{mean * factor:,.{decimals}f}"
    return f"{mean * factor:,.{decimals}f} ± {(high - low) / 2 * factor:,.{decimals}f}"
