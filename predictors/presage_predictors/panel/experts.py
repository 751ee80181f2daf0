"""The simple forecasts that a learned model starts from, for many series at once."""

import numpy as np
from numpy.typing import NDArray

from presage_predictors.panel.past import Past
from presage_predictors.panel.profile import Profile
from presage_predictors.panel.smoothing import PLAIN, SEASONAL, Smoothing

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

EXPERTS = (
    "LastValue",
    "HoltWinters",
    "SeasonalLevel",
    "SeasonalStep",
    "WeeklyLevel",
    "FastMean",
    "SlowMean",
    "Profile",
    "ProfileStep",
)
SEASONS_A_WEEK = 7
MEANS = (0.4, 0.1)  # weights of the newest window in the two running means
LEVEL_WINDOWS = 6  # today's level: the last windows against the same ones a season ago,
PROFILE_WINDOWS = 3  # or against those of the usual day, which has less noise
LEVEL_RANGE = (0.2, 5.0)  # a ratio beyond it says that the seasons do not compare


class Experts:
    """Last value, running means, Holt-Winters and five readings of the season, in EXPERTS' order."""

    def __init__(self, rows: int, season: int, ahead: Indices) -> None:
        self._season = season
        self._ahead = ahead
        self.past = Past(rows, (SEASONS_A_WEEK + 1) * season + LEVEL_WINDOWS)
        self.last = np.full(rows, np.nan)
        self._means = np.full((len(MEANS), rows), np.nan)
        self._plain = Smoothing(rows, 1, PLAIN)
        self._seasonal = Smoothing(rows, season, SEASONAL)
        self._profile = Profile(rows, season)
        self.age = np.zeros(rows, dtype=np.int64)  # windows since a row's first rate
        self._index = 0

    def update(self, values: Floats) -> None:
        """Take in the newest window, shape [rows]; NaN = absent."""
        present = np.isfinite(values)
        born = present & (self.age == 0)
        self.age += born | (self.age > 0)
        self.past.append(values)
        self.last = np.where(present, values, self.last)
        for mean, weight in zip(self._means, MEANS, strict=True):
            mean[born] = values[born]
            mean[present] += weight * (values[present] - mean[present])
        self._smooth(values, born)
        self._profile.update(values, self._index % self._season)
        self._index += 1

    def _smooth(self, values: Floats, born: NDArray[np.bool_]) -> None:
        phase = self._index % self._season
        self._plain.update(values, 0)
        self._seasonal.update(values, phase)
        if born.any():
            self._plain.start(born, values[:, None], 0)
        grown = self.age == self._season
        if grown.any():
            self._seasonal.start(grown, self.past.last(self._season), (phase + 1) % self._season)

    def forecast(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Return forecasts [rows, experts, ahead] and which are there; those that are not say the last value.

        Rows that have never had a rate are NaN.
        """
        whole = self.age >= 2 * self._season
        smooth = np.where(
            whole[:, None],
            self._seasonal.path(self._index % self._season, self._ahead),
            self._plain.path(0, self._ahead),
        )
        made = [
            np.repeat(self.last[:, None], len(self._ahead), axis=1),
            smooth,
            self._level(self._season),
            self._step(),
            self._level(SEASONS_A_WEEK * self._season),
            *(np.repeat(mean[:, None], len(self._ahead), axis=1) for mean in self._means),
            *self._profiled(),
        ]
        said = np.stack(made, axis=1)
        there = np.isfinite(said)
        return np.maximum(np.where(there, said, self.last[:, None, None]), 0.0), there

    def _profiled(self) -> tuple[Floats, Floats]:
        """Return the usual day at today's level, and the last value plus what the usual day adds at it."""
        recent = np.arange(1, PROFILE_WINDOWS + 1)
        coming, lately = (
            self._profile.at(self._index + self._ahead - 1),
            self._profile.at(self._index - recent),
        )
        level = _ratio(self.past.back(recent), lately)
        whole = (self.age > self._season)[:, None]
        step = self.last[:, None] + level * (coming - lately[:, :1])
        return np.where(whole, coming * level, np.nan), np.where(whole, step, np.nan)

    def _ago(self, season: int) -> Indices:
        """Return how many windows ago the coming windows' likes were, whole seasons before."""
        return np.asarray(-(-self._ahead // season) * season - self._ahead + 1, dtype=np.int64)

    def _level(self, season: int) -> Floats:
        shape = self.past.smoothed(self._ago(season))
        recent = np.arange(1, LEVEL_WINDOWS + 1)
        return shape * _ratio(self.past.back(recent), self.past.smoothed(recent + season))

    def _step(self) -> Floats:
        """Return the last value plus what the season added over the same stretch a season ago."""
        before = self.past.smoothed(np.array([self._season + 1]))
        return self.last[:, None] + self.past.smoothed(self._ago(self._season)) - before


def _ratio(now: Floats, then: Floats) -> Floats:
    """Return how much more there is now than then, [rows, 1], of the windows present in both."""
    both = np.isfinite(now) & np.isfinite(then)
    ratio = np.where(both, now, 0.0).sum(axis=1) / np.maximum(np.where(both, then, 0.0).sum(axis=1), 1e-9)
    return np.asarray(np.clip(ratio, *LEVEL_RANGE)[:, None], dtype=np.float64)
