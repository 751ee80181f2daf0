"""The usual day of many series: what each time of the season has had, on average over the last ones.

A single season ago is one draw of it, noise and all; a few of them, smoothed over their neighbours, tell
the shape apart from the noise. (Ours.)
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

NEWEST = 0.2  # least weight of the newest season in a mean: about five seasons are remembered
NEIGHBOURS_A_SEASON = 48  # so many stretches of a season are told apart


class Profile:
    """Mean rate of each phase of the season, [rows, season], and its smoothed form."""

    def __init__(self, rows: int, season: int) -> None:
        self._season = season
        self._mean = np.zeros((rows, season))
        self._seen = np.zeros((rows, season))
        self._total = np.zeros((rows, season))  # of the means of a phase and its neighbours,
        self._count = np.zeros((rows, season))  # so many of which have been seen
        reach = round(season / NEIGHBOURS_A_SEASON)
        self._near = np.arange(-reach, reach + 1)

    def update(self, values: Floats, phase: int) -> None:
        """Take in the newest window, shape [rows]; an absent rate says nothing."""
        present = np.isfinite(values)
        seen = self._seen[:, phase]
        gain = np.maximum(1 / (seen + 1), NEWEST)
        change = np.where(present, gain * (values - self._mean[:, phase]), 0.0)
        near = (phase + self._near) % self._season
        self._total[:, near] += change[:, None]
        self._count[:, near] += (present & (seen == 0))[:, None]
        self._mean[:, phase] += change
        self._seen[:, phase] += present

    def at(self, phases: Indices) -> Floats:
        """Return the smoothed profile at these phases, [rows, len(phases)]; NaN where nothing was seen."""
        at = phases % self._season
        count = self._count[:, at]
        return np.where(count > 0, self._total[:, at] / np.maximum(count, 1), np.nan)
