"""Quantiles that hold: each stated quantile is moved until as many windows lie below it as it says.

Online conformal calibration by quantile tracking (Angelopoulos, Candes and Tibshirani, arXiv:2307.16895,
after Gibbs and Candes, arXiv:2106.00072): after a window above the stated quantile it moves up by step *
level, after one below it down by step * (1 - level), for each series, step ahead and level. That makes the
long-run coverage right whatever the series does. Ours: the step is in units of the recent error, and falls
with the root of how far ahead is forecast: windows that were forecast h ahead miss together, h at a time.
"""

import numpy as np
from numpy.typing import NDArray

from presage_predictors.panel.pending import Pending

Floats = NDArray[np.float64]

STEP = 0.05  # units of the recent error, one window ahead


class Calibration:
    """Offsets of the quantiles, [rows, levels, ahead], in units of the recent error."""

    def __init__(self, rows: int, levels: tuple[float, ...], ahead: NDArray[np.int64]) -> None:
        self._levels = np.array(levels)[None, :, None]
        self._moving = self._levels != 0.5  # noqa: PLR2004 - the median is the models' business
        self._step = STEP / np.sqrt(ahead)
        self._offset = np.zeros((rows, len(levels), len(ahead)))
        self._pending = Pending(rows, len(levels), ahead)

    def judge(self, values: Floats) -> None:
        """Move the quantiles by the newest window, shape [rows]; NaN says nothing."""
        stated = self._pending.due()
        known = np.isfinite(stated) & np.isfinite(values)[:, None, None]
        missed = (values[:, None, None] > stated) - (1 - self._levels)
        self._offset = np.where(known & self._moving, self._offset + self._step * missed, self._offset)

    def state(self, quantiles: Floats, unit: Floats) -> Floats:
        """Return calibrated quantiles of rates [rows, levels, ahead], rising by level and never negative."""
        moved = quantiles + self._offset * unit[:, None]
        stated = np.sort(np.maximum(moved, 0.0), axis=1)
        self._pending.add(stated)
        return np.asarray(stated, dtype=np.float64)
