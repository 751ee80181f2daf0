"""Runs an experiment and says on standard error how far it is."""

from collections.abc import Sequence

from presage_simulator.comparison import Comparison
from presage_simulator.runner import Experiment, Ran, Task, run
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from presage_cli.simulate.composition import Composition


def compared(experiment: Experiment, tasks: Sequence[Task], jobs: int) -> Comparison:
    """Run all tasks over so many processes and compare."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    done: list[Ran] = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(experiment.scenario.name, total=len(tasks))
        for ran in run(experiment, tasks, Composition(), min(jobs, len(tasks))):
            done.append(ran)
            progress.advance(bar)
    return Comparison.of(experiment.scenario, done)
