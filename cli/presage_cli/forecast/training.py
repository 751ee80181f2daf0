"""Trains weights, from traces or on from one's own past; they take over only if they are no worse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from presage_predictors.auto.forecaster import knots
from presage_predictors.backtest.scores import Task
from presage_predictors.backtest.worth import judged
from presage_predictors.mlstm.artefact import Artefact, load, save
from presage_predictors.mlstm.corpus import Options, Rows, Stock, build, enriched
from presage_predictors.mlstm.making import made, tuned
from presage_predictors.mlstm.training import Schedule
from presage_predictors.traces import TraceError

from presage_cli.forecast.prometheus import Floats
from presage_cli.forecast.tasks import FARTHEST, REACH_SECONDS, TESTED, Choice, recordings_in, tasks_of

DAY = 86_400.0
YOUNG_EACH = 20  # stretches of each of one's own series that are learnt as young services


class RefusedError(Exception):
    """New weights are worse than those that serve; nothing was written."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How weights are trained from scratch."""

    options: Options
    schedule: Schedule
    members: int

    @property
    def seeds(self) -> tuple[int, ...]:
        """A seed for each member of the ensemble."""
        return tuple(range(self.options.seed, self.options.seed + self.members))


def from_traces(folder: Path, recipe: Recipe, out: Path, tell: Callable[[str], None]) -> Artefact:
    """Train on a folder of traces and write the weights, unless those at `out` are better there.

    Raises TraceError without traces, RefusedError when the new weights are worse.
    """
    corpus = build(folder, recipe.options)
    tell(f"{len(corpus.truth)} examples")
    facts = {
        "learnt_from": f"the first {recipe.options.share:.0%} of each recording",
        "without": " ".join(recipe.options.without) or "nothing",
        "corpus_seed": str(recipe.options.seed),
    }
    artefact = made(corpus, recipe.schedule, recipe.seeds, facts, tell)
    if out.exists():
        tasks = [task for found in recordings_in([folder]) for task in tasks_of(found, Choice())]
        _judge(artefact, load(out), tasks, tell)
    save(artefact, out)
    return artefact


def from_own(
    found: Sequence[Floats],
    window_seconds: float,
    start: Artefact,
    out: Path,
    tell: Callable[[str], None],
) -> Artefact:
    """Train weights on with one's own series (a rate each window); the last quarter of each judges them.

    Raises TraceError when there is too little to learn from, RefusedError when they are no better.
    """
    rows, tasks = Rows(), []
    ahead = knots(min(FARTHEST, round(REACH_SECONDS[-1] / window_seconds)))
    for number, values in enumerate(_since_known(series) for series in found):
        first = int((1 - TESTED) * len(values))
        rows.add(window_seconds, values[:first])
        tasks.append(Task("own", str(number), window_seconds, values, max(1, first), ahead))
    if not rows.by_window:
        raise TraceError("there is too little to learn from: ask for more days, or check the queries")
    options = Options(young=min(Options().young, YOUNG_EACH * len(tasks)))
    corpus = enriched(Stock(rows), options, np.random.default_rng(options.seed))
    tell(f"{len(tasks)} series, {len(corpus.truth)} examples")
    artefact = tuned(start, corpus, {"learnt_from": f"{len(tasks)} series of its user"}, tell)
    _judge(artefact, start, tasks, tell)
    save(artefact, out)
    return artefact


def _judge(new: Artefact, present: Artefact, tasks: Sequence[Task], tell: Callable[[str], None]) -> None:
    verdict = judged(new.network(), present.network(), tasks, DAY)
    tell(str(verdict))
    if not verdict.better:
        raise RefusedError(f"{verdict}; the present weights stay")


def _since_known(values: Floats) -> Floats:
    return values[np.isfinite(values).argmax() :]
