"""Forecasts that wait for their windows to come, so that each is judged by what it said at the time."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Pending:
    """Keeps what was said at each window, shape [rows, things, ahead], until all its steps have come."""

    def __init__(self, rows: int, things: int, ahead: NDArray[np.int64]) -> None:
        self._ahead = ahead
        self._said = np.full((int(ahead.max()), rows, things, len(ahead)), np.nan)
        self._index = 0

    def due(self) -> Floats:
        """Return what had been said of the window that has just come, each step by its own origin."""
        slot = (self._index - self._ahead) % len(self._said)
        found = self._said[slot, :, :, np.arange(len(self._ahead))]
        return np.asarray(found.transpose(1, 2, 0), dtype=np.float64)

    def add(self, said: Floats) -> None:
        """Keep what is said now."""
        self._said[self._index % len(self._said)] = said
        self._index += 1
