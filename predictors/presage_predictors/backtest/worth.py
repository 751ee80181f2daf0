"""Is a new network better than the one that serves? Judged by what would be served with each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from presage_predictors.backtest.models import RollingAuto, ask
from presage_predictors.backtest.scores import Task, score
from presage_predictors.mlstm.network import Network


@dataclass(frozen=True, slots=True)
class Verdict:
    """Mean errors of a new network as shares of the present one's: below 1 is better."""

    wape: float
    pinball: float
    series: int

    @property
    def better(self) -> bool:
        """Whether the new network may take over: no worse in the mean of both errors, and judged at all."""
        return self.series > 0 and self.wape + self.pinball <= 2.0  # noqa: PLR2004 - two ratios

    def __str__(self) -> str:
        """Return the verdict in words and figures."""
        word = "no worse" if self.better else "worse"
        return (
            f"{word} than the present weights on {self.series} series: WAPE {100 * (self.wape - 1):+.1f} %, "
            f"pinball at the 90 % quantile {100 * (self.pinball - 1):+.1f} %"
        )


def judged(new: Network, present: Network, tasks: Sequence[Task], season_seconds: float) -> Verdict:
    """Compare two networks on the windows that the tasks score, every horizon and series alike."""
    ratios = []
    for task in tasks:
        pair = [
            score(task, model.name, ask(model, task))
            for model in (RollingAuto(new, season_seconds), RollingAuto(present, season_seconds))
        ]
        of_task = [
            (after.wape / before.wape, after.pinball / before.pinball)
            for after, before in zip(*pair, strict=True)
            if before.wape and before.pinball and after.wape is not None and after.pinball is not None
        ]
        if of_task:
            ratios.append(np.mean(of_task, axis=0))
    if not ratios:
        return Verdict(1.0, 1.0, 0)
    wape, pinball = np.mean(ratios, axis=0)
    return Verdict(float(wape), float(pinball), len(ratios))
