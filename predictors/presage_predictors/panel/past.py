"""The recent past of many series, one column a window, in bounded memory."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class Past:
    """The last `windows` windows of each row; NaN = absent. Appending costs amortised constant time."""

    def __init__(self, rows: int, windows: int) -> None:
        self._windows = windows
        self._kept = np.full((rows, 2 * windows), np.nan)
        self._end = windows  # so that looking back before the beginning finds NaN

    def append(self, values: Floats) -> None:
        """Add the newest window, shape [rows]."""
        if self._end == self._kept.shape[1]:
            self._kept[:, : self._windows] = self._kept[:, self._windows :]
            self._end = self._windows
        self._kept[:, self._end] = values
        self._end += 1

    def back(self, ago: Indices) -> Floats:
        """Return the values so many windows ago (1 = the newest), shape [rows, len(ago)]; NaN beyond."""
        inside = np.minimum(ago, self._windows)
        found = self._kept[:, self._end - inside]
        return np.where(ago <= self._windows, found, np.nan)

    def last(self, windows: int) -> Floats:
        """Return the newest windows, oldest first, shape [rows, windows], as a view."""
        return self._kept[:, self._end - windows : self._end]

    def smoothed(self, ago: Indices) -> Floats:
        """Return the mean of each window and its neighbours, of those present, shape [rows, len(ago)]."""
        three = np.stack([self.back(np.maximum(ago + offset, 1)) for offset in (-1, 0, 1)])
        present = np.isfinite(three)
        count = present.sum(axis=0)
        total = np.where(present, three, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
