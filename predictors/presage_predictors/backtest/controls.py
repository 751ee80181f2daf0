"""Controls at every origin in one pass: what they say when asked one by one, hundreds of times faster."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from presage_predictors.controls import HoltWinters, Statistical
from presage_predictors.controls.holt_winters import SEASONS_FOR_SEASON
from presage_predictors.controls.statistical import (
    ASSUMED_ERRORS,
    FLOOR_SHARE,
    LEVELS,
    MAX_ORIGINS,
    MIN_ERRORS,
)

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class RollingControl:
    """A control, asked at every origin."""

    def __init__(self, control: Statistical) -> None:
        self._control = control

    @property
    def name(self) -> str:
        """The control's name."""
        return self._control.name

    def stated(self, values: Floats, window_seconds: float, ahead: Indices, first: int) -> Floats:
        """Return quantiles [origins, levels, ahead] at the origins first..len(values); NaN = none.

        An origin is how many windows were known. The median is the control's point forecast itself: that is
        what it is compared by, also where its own errors would have moved its median.
        """
        known = np.where(np.isfinite(values) & (values >= 0), values, np.nan)
        begin = max(self._control.least_windows(window_seconds), first - MAX_ORIGINS)
        result = np.full((len(values) + 1 - first, len(LEVELS), len(ahead)), np.nan)
        origins = np.arange(begin, len(values) + 1)
        if not len(origins):
            return result
        paths = np.maximum(self._paths(known, origins, int(ahead.max()), window_seconds), 0.0)
        paths = paths[:, ahead - 1]
        bands = _bands(known, paths, origins, ahead)
        made = max(begin, first)
        result[made - first :] = bands[made - begin :]
        return result

    def _paths(self, known: Floats, origins: Indices, steps: int, window_seconds: float) -> Floats:
        """Return the point forecasts; Holt-Winters without and with a season are two passes."""
        control = self._control
        if not isinstance(control, HoltWinters):
            return control.paths(known, origins, steps, window_seconds)
        whole = SEASONS_FOR_SEASON * max(1, round(control.season_seconds / window_seconds))
        parts = [origins[origins < whole], origins[origins >= whole]]
        return np.concatenate(
            [
                control.paths(known[: int(part[-1])], part, steps, window_seconds)
                for part in parts
                if len(part)
            ]
        )


def _bands(known: Floats, paths: Floats, origins: Indices, ahead: Indices) -> Floats:
    """Return the point forecasts moved by quantiles of their own relative errors so far."""
    total = np.concatenate([[0.0], np.nancumsum(known)])[origins]
    count = np.concatenate([[0], np.cumsum(np.isfinite(known))])[origins]
    floor = np.maximum(FLOOR_SHARE * total / np.maximum(count, 1), 1e-9)
    longer = np.concatenate([known, np.full(int(ahead.max()), np.nan)])
    errors = np.broadcast_to(np.array(ASSUMED_ERRORS), (len(origins), len(LEVELS)))
    bands = np.empty((len(origins), len(LEVELS), len(ahead)))
    for column, steps in enumerate(ahead):
        actual = longer[origins + steps - 1]
        errors = _error_quantiles(actual, paths[:, column], floor, int(steps), errors)
        scale = np.maximum(paths[:, column], floor)
        bands[:, :, column] = paths[:, column, None] + errors * scale[:, None]
    bands = np.sort(np.maximum(bands, 0.0), axis=1)
    bands[:, LEVELS.index(0.5)] = paths
    return bands


def _error_quantiles(actual: Floats, made: Floats, floor: Floats, steps: int, nearer: Floats) -> Floats:
    """Return [origins, levels]: quantiles of the errors known at each origin, else those of a nearer step."""
    past = MAX_ORIGINS + 1 - steps  # the forecasts since then had come true
    if past < MIN_ERRORS:
        return nearer
    padding = np.full(past + steps - 1, np.nan)
    said = sliding_window_view(np.concatenate([padding, made]), past)[: len(made)]
    came = sliding_window_view(np.concatenate([padding, actual]), past)[: len(made)]
    errors = np.sort((came - said) / np.maximum(said, floor[:, None]), axis=1)  # NaN last
    count = np.isfinite(errors).sum(axis=1)
    place = np.array(LEVELS) * np.maximum(count - 1, 0)[:, None]
    low = place.astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    rows = np.arange(len(errors))[:, None]
    found = errors[rows, low] + (errors[rows, high] - errors[rows, low]) * (place - low)
    return np.where((count >= MIN_ERRORS)[:, None], found, nearer)
