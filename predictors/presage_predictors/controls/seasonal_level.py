"""SeasonalLevel: the same time a season ago, times how much more (or less) there is today."""

import numpy as np
from numpy.typing import NDArray

from presage_predictors.controls.statistical import Floats, Statistical

LEVEL_WINDOWS = 6  # today's level: the last windows against the same ones a season ago
LEVEL_RANGE = (0.2, 5.0)  # a ratio beyond it says that the seasons do not compare
SEASONS_BACK = 3  # where a season ago is absent, an earlier one is asked


class SeasonalLevel(Statistical):
    """The shape of the last season at today's level, smoothed over neighbouring windows."""

    name = "SeasonalLevel"

    def __init__(self, season_seconds: float = 86400.0) -> None:
        if not season_seconds > 0:
            raise ValueError(f"seasonSeconds is {season_seconds}: give a positive number of seconds")
        self.season_seconds = season_seconds

    def least_windows(self, window_seconds: float) -> int:
        """Return a season, and the windows that make the level."""
        return self._season(window_seconds) + LEVEL_WINDOWS

    def paths(self, values: Floats, origins: NDArray[np.int64], steps: int, window_seconds: float) -> Floats:
        """Return a season ago times the level at each origin."""
        season = self._season(window_seconds)
        needed = (SEASONS_BACK + -(-steps // season)) * season + LEVEL_WINDOWS + 2
        return np.stack(
            [self._path(values[max(0, origin - needed) : origin], steps, season) for origin in origins]
        )

    def _path(self, values: Floats, steps: int, season: int) -> Floats:
        shape = _smoothed(values)
        ahead = _season_ago(shape, len(values) + np.arange(steps), season)
        recent = np.arange(len(values) - LEVEL_WINDOWS, len(values))
        then = _season_ago(shape, recent, season)
        now = values[recent]
        both = np.isfinite(then) & np.isfinite(now)
        if not both.any() or then[both].sum() <= 0:
            return ahead
        level = float(np.clip(now[both].sum() / then[both].sum(), *LEVEL_RANGE))
        return ahead * level

    def _season(self, window_seconds: float) -> int:
        return max(1, round(self.season_seconds / window_seconds))


def _smoothed(values: Floats) -> Floats:
    """Return the mean of each window and its two neighbours, of those that are present."""
    padded = np.concatenate([[np.nan], values, [np.nan]])
    three = np.stack([padded[:-2], padded[1:-1], padded[2:]])
    present = np.isfinite(three)
    count = present.sum(axis=0)
    total = np.where(present, three, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _season_ago(values: Floats, windows: NDArray[np.int64], season: int) -> Floats:
    """Return the value whole seasons before each window: one, or as many more as it takes to find one."""
    beyond = np.maximum(0, windows - len(values)) // season  # windows more than a season ahead
    found = np.full(len(windows), np.nan)
    for back in range(1, SEASONS_BACK + 1):
        index = windows - season * (back + beyond)
        there = (index >= 0) & ~np.isfinite(found)
        found[there] = values[index[there]]
    return found
