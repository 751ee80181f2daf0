"""How far each expert's forecasts have been off lately, at each step ahead: the unit of everything learnt."""

import numpy as np
from numpy.typing import NDArray

from presage_predictors.panel.pending import Pending

Floats = NDArray[np.float64]

MEMORIES = (12, 96)  # windows over which errors are averaged: of now, and of these days
ASSUMED_SHARE = 0.2  # before there are errors: this share of the level,
ASSUMED_WEIGHT = 2.0  # which counts as much as so many observed errors
FLOOR_SHARE = 0.005  # a unit is never less than this share of the level


class Record:
    """Running mean absolute errors [memories, rows, experts, steps] and the forecasts not yet judged."""

    def __init__(self, rows: int, experts: int, ahead: NDArray[np.int64]) -> None:
        self._pending = Pending(rows, experts, ahead)
        self._total = np.zeros((len(MEMORIES), rows, experts, len(ahead)))
        self._weight = np.zeros((len(MEMORIES), rows, 1, len(ahead)))

    def judge(self, values: Floats) -> None:
        """Compare the newest window, shape [rows], with what had been said of it."""
        error = np.abs(self._pending.due() - values[:, None, None])
        known = np.isfinite(error)
        keep = 1 - 1 / np.array(MEMORIES, dtype=float)[:, None, None, None]
        self._total = np.where(known, keep * self._total + np.where(known, error, 0.0), self._total)
        seen = known[:, :1]
        self._weight = np.where(seen, keep * self._weight + seen, self._weight)

    def remember(self, said: Floats) -> None:
        """Keep the forecasts made now, [rows, experts, steps], until their windows have come."""
        self._pending.add(said)

    def errors(self, level: Floats) -> Floats:
        """Return the mean absolute errors, [memories, rows, experts, steps], drawn towards what is assumed.

        `level` is the mean rate of each row, shape [rows].
        """
        assumed = (ASSUMED_SHARE * level)[:, None, None]
        total = self._total + ASSUMED_WEIGHT * assumed
        floor = np.maximum(FLOOR_SHARE * level, 1e-9)[:, None, None]
        return np.asarray(np.maximum(total / (self._weight + ASSUMED_WEIGHT), floor), dtype=np.float64)
