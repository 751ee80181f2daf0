"""What a network sees of every series at one moment: the recent past, and each step ahead."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Inputs of the network and what turns its outputs back into rates; steps are the panel's `ahead`.

    `sequence` [rows, windows, channels] and `steps` [rows, ahead, features] are dimensionless; `said`
    [rows, experts, ahead] (rates) are the experts' forecasts and `unit` [rows, ahead] (rates) the recent
    mean absolute error of the best of them. A row without any rate so far is NaN in `said`.
    """

    sequence: Singles
    steps: Singles
    said: Floats
    unit: Floats

    def rows(self, chosen: NDArray[np.bool_] | slice) -> "View":
        """Return the chosen rows alone."""
        return View(self.sequence[chosen], self.steps[chosen], self.said[chosen], self.unit[chosen])


def joined(views: list[View]) -> View:
    """Return the rows of several views, one after the other."""
    return View(
        np.concatenate([view.sequence for view in views]),
        np.concatenate([view.steps for view in views]),
        np.concatenate([view.said for view in views]),
        np.concatenate([view.unit for view in views]),
    )
