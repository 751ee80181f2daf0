"""Asks models about tasks and scores what they say."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from presage_predictors.backtest.models import Rolling, ask, known_models
from presage_predictors.backtest.scores import Score, Task, score, with_skill
from presage_predictors.mlstm.corpus import Options, recorded
from presage_predictors.mlstm.network import Network
from presage_predictors.trees.control import Trees

TREES = "Trees"
WEEK = 604_800.0


class UnknownModelError(Exception):
    """A model was named that does not exist; the message lists those that do."""


class Models:
    """The models of a backtest by name; trees are fitted anew for each window length."""

    def __init__(
        self, names: Sequence[str], network: Network, season_seconds: float, folder: Path | None
    ) -> None:
        self._make = partial(known_models, network)
        self._season_seconds = season_seconds
        self._names = [name for name in names if name != TREES]
        known = self._make(season_seconds)
        for name in names:
            if name not in (*known, TREES):
                choices = ", ".join((*known, TREES))
                raise UnknownModelError(f"no model is called {name!r}: give some of {choices}")
        if TREES in names and folder is None:
            raise UnknownModelError("Trees learn from traces: give their folder with --learn-from")
        learning = folder if TREES in names else None
        self._recorded = recorded(learning, Options()).by_window if learning else {}
        self._trees: dict[float, Trees] = {}

    def for_window(self, window_seconds: float) -> list[Rolling]:
        """Return the models that forecast windows of this length; of days, the season is a week."""
        known = self._make(self._season_seconds if self._season_seconds >= 2 * window_seconds else WEEK)
        plain = [known[name]() for name in self._names]
        learnt_from = self._recorded.get(window_seconds)
        if not learnt_from:
            return plain
        if window_seconds not in self._trees:
            self._trees[window_seconds] = Trees(learnt_from)
        return [*plain, self._trees[window_seconds]]


def backtest(task: Task, models: Sequence[Rolling]) -> list[Score]:
    """Return the scores of all models on one task, with their skill against its best control."""
    scores = [one for model in models for one in score(task, model.name, ask(model, task))]
    return with_skill(scores)


def run(tasks: Sequence[Task], models: Models, tell: Callable[[str], None]) -> list[Score]:
    """Return the scores of all tasks; `tell` hears of each one as it begins."""
    scores: list[Score] = []
    for task in tasks:
        tell(f"{task.series}/{task.column}: {len(task.values)} windows of {task.window_seconds:g} s")
        scores += backtest(task, models.for_window(task.window_seconds))
    return scores
