"""The panel: experts, their record and the network's inputs, moved on by one window of every series."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presage_predictors.panel.experts import EXPERTS, SEASONS_A_WEEK, Experts
from presage_predictors.panel.record import MEMORIES, Record
from presage_predictors.panel.view import Floats, Singles, View

SEQUENCE = 64  # windows of the past that the network reads one by one
SEQUENCE_CHANNELS = 7
SEASONED = [EXPERTS.index(name) for name in ("SeasonalLevel", "WeeklyLevel")]  # not there from the start
SCALES = 10
STEP_FEATURES = (len(EXPERTS) - 1) + len(MEMORIES) * len(EXPERTS) + len(SEASONED) + SCALES
RECORDS = slice(len(EXPERTS) - 1, len(EXPERTS) - 1 + len(MEMORIES) * len(EXPERTS))  # among the step features
DAY, HOUR = 86400.0, 3600.0
LEVEL_MEMORY = 288  # windows over which a row's level, the scale of last resort, is averaged
LARGEST = 8.0  # features are squeezed, so that one wild window cannot blow up a network


class Panel:
    """Rows of rates (one kind of one service each) with a common window and season, in windows.

    `ahead` names the steps that are forecast (1 = the coming window).
    """

    def __init__(
        self, rows: int, window_seconds: float, season_windows: int, ahead: NDArray[np.int64]
    ) -> None:
        self.window_seconds = window_seconds
        self.season_windows = season_windows
        self.ahead = ahead
        self._day = season_windows * window_seconds  # a season is the network's day, however long it is
        self._experts = Experts(rows, season_windows, ahead)
        self._record = Record(rows, len(EXPERTS), ahead)
        self._level = np.zeros(rows)
        self._level_weight = np.zeros(rows)
        self._said, self._there = self._experts.forecast()

    @property
    def age(self) -> NDArray[np.int64]:
        """Windows since each row's first rate, shape [rows]."""
        return self._experts.age

    def update(self, values: Floats, end: float) -> View:
        """Take in the window that ended at `end` (seconds) and return what the networks see after it."""
        self.advance(values)
        return self.view(end)

    def advance(self, values: Floats) -> None:
        """Take in a window, shape [rows]; what no rate can be (infinite, negative) counts as absent."""
        values = np.where(np.isfinite(values) & (values >= 0), values, np.nan)
        present = np.isfinite(values)
        keep = 1 - 1 / LEVEL_MEMORY
        self._level = np.where(present, keep * self._level + np.where(present, values, 0.0), self._level)
        self._level_weight = np.where(present, keep * self._level_weight + 1, self._level_weight)
        self._record.judge(values)
        self._experts.update(values)
        self._said, self._there = self._experts.forecast()
        self._record.remember(self._said)

    def view(self, end: float) -> View:
        """Return what the networks see after the last window, which ended at `end` (seconds)."""
        said = self._said
        level = self._level / np.maximum(self._level_weight, 1e-9)
        errors = self._record.errors(level)
        unit = _unit(errors)
        steps = self._step_features(said, self._there, errors, self._scales(unit, level, end))
        return View(self._sequence(unit[:, 0], end), steps, said, unit)

    def _sequence(self, unit: Floats, end: float) -> Singles:
        """Return the last windows, and the same ones a season ago, against the last value."""
        past, season = self._experts.past, self.season_windows
        ago = np.arange(SEQUENCE, 0, -1)
        now, then = past.back(ago), past.back(ago + season)
        last = self._experts.last[:, None]
        channels = np.empty((len(now), SEQUENCE, SEQUENCE_CHANNELS), dtype=np.float32)
        channels[:, :, 0] = _squeezed((now - last) / unit[:, None])
        channels[:, :, 1] = np.isfinite(now)
        channels[:, :, 2] = _squeezed((then - last) / unit[:, None])
        channels[:, 1:, 3] = _squeezed((now[:, 1:] - now[:, :-1]) / unit[:, None])
        channels[:, :1, 3] = 0.0
        channels[:, :, 4] = np.isfinite(then)
        channels[:, :, 5:7] = _circle((end - (ago - 1) * self.window_seconds) / self._day)
        return channels

    def _step_features(
        self, said: Floats, there: NDArray[np.bool_], errors: Floats, scales: Floats
    ) -> Singles:
        """Return what is known of each step ahead: experts, their records, and what `_scales` tells."""
        rows, _, steps = said.shape
        unit = _unit(errors)
        apart = _squeezed((said[:, 1:] - said[:, :1]) / unit[:, None])
        records = np.log(errors / unit[None, :, None]).transpose(1, 0, 2, 3).reshape(rows, -1, steps)
        features = np.concatenate([apart, records, there[:, SEASONED], scales], axis=1)
        squeezed = np.clip(features, -LARGEST, LARGEST).transpose(0, 2, 1)
        return np.asarray(squeezed, dtype=np.float32)

    def _scales(self, unit: Floats, level: Floats, end: float) -> Floats:
        """Return calendar and scales of each step ahead, [rows, features, ahead]."""
        shape = unit.shape
        target = end + (self.ahead - 1) * self.window_seconds
        shared = [
            *_circle(target / self._day).T,
            *_circle(target / (SEASONS_A_WEEK * self._day)).T,
            np.log(self.ahead) / 3,
            np.log(self.ahead * (DAY / self.season_windows) / HOUR) / 3,
            np.full(shape[1], math.log(self.season_windows) / 5),
        ]
        own = [
            np.log(unit / np.maximum(level, 1e-9)[:, None] + 1e-3),
            np.log1p(self.age[:, None] / self.season_windows),
            _squeezed((level - self._experts.last)[:, None] / unit),
        ]
        return np.stack([np.broadcast_to(feature, shape) for feature in (*shared, *own)], axis=1)


def _unit(errors: Floats) -> Floats:
    """Return the error of the best expert, lately or over days, whichever is worse, [rows, ahead]."""
    return np.asarray(errors.min(axis=2).max(axis=0), dtype=np.float64)


def _squeezed(ratio: Floats) -> Floats:
    """Return the inverse hyperbolic sine, with 0 for what is absent."""
    return np.arcsinh(np.where(np.isfinite(ratio), ratio, 0.0))


def _circle(turns: ArrayLike) -> Floats:
    """Return sine and cosine of the position within a turn, shape [n, 2]."""
    angle = 2 * np.pi * np.asarray(turns)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)
