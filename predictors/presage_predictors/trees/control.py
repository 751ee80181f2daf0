"""One global LightGBM model per step ahead over a day of lags: the control that a learned model must beat.

Fitted on the first part of every recording; it sees the lags and forecasts what comes as differences to the
last value, in units of the mean step from one lag to the next, so that a smooth series counts as much as a
noisy one. (In units of the mean rate it is a far weaker control.) The median is fitted by absolute error, the
90 % quantile by pinball loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from presage_predictors.controls.statistical import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import lightgbm

Floats = NDArray[np.float64]

LAGS = 144
LEAST_LAGS = 12
LEAST_STEP = 0.005  # of the mean rate: a unit is never less
DAY = 86400.0
ROUNDS = 300
SETTINGS = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "num_threads": 1,
    "verbose": -1,
    "seed": 0,
    "deterministic": True,
}
OBJECTIVES: dict[float, dict[str, object]] = {
    0.5: {"objective": "mae"},
    0.9: {"objective": "quantile", "alpha": 0.9},
}


class Trees:
    """States the median and the 90 % quantile; fits itself for each step when first asked."""

    name = "Trees"

    def __init__(self, learnt_from: Sequence[Floats]) -> None:
        self._learnt_from = learnt_from
        self._fitted: dict[tuple[int, float], lightgbm.Booster] = {}

    def stated(self, values: Floats, window_seconds: float, ahead: NDArray[np.int64], first: int) -> Floats:
        """Return quantiles [origins, levels, ahead] at the origins first..len(values); NaN = not stated."""
        origins = np.arange(first, len(values) + 1)
        inputs, scale = _inputs(values, origins, window_seconds)
        result = np.full((len(origins), len(LEVELS), len(ahead)), np.nan)
        for column, steps in enumerate(ahead):
            for level in OBJECTIVES:
                made = np.asarray(self._model(int(steps), level, window_seconds).predict(inputs))
                result[:, LEVELS.index(level), column] = np.maximum(values[origins - 1] + scale * made, 0.0)
        return result

    def _model(self, steps: int, level: float, window_seconds: float) -> lightgbm.Booster:
        if (steps, level) not in self._fitted:
            self._fitted[steps, level] = self._fit(steps, level, window_seconds)
        return self._fitted[steps, level]

    def _fit(self, steps: int, level: float, window_seconds: float) -> lightgbm.Booster:
        import lightgbm  # noqa: PLC0415 - of the extra `train`

        inputs, targets = [], []
        for values in self._learnt_from:
            origins = np.arange(LEAST_LAGS + 1, len(values) - steps + 1)
            if not len(origins):
                continue
            seen, scale = _inputs(values, origins, window_seconds)
            target = (values[origins + steps - 1] - values[origins - 1]) / scale
            known = np.isfinite(target)
            inputs.append(seen[known])
            targets.append(target[known])
        data = lightgbm.Dataset(np.concatenate(inputs), np.concatenate(targets))
        return lightgbm.train(SETTINGS | OBJECTIVES[level], data, ROUNDS)


def _inputs(values: Floats, origins: NDArray[np.int64], window_seconds: float) -> tuple[Floats, Floats]:
    """Return lags, level and hour of the day, [origins, features], and the scale of each origin."""
    padded = np.concatenate([np.full(LAGS, np.nan), values])
    lags = padded[origins[:, None] + LAGS - 1 - np.arange(LAGS)]
    mean = _mean(lags)
    scale = np.maximum(_mean(np.abs(np.diff(lags, axis=1))), np.maximum(LEAST_STEP * mean, 1e-9))
    hour = (origins * window_seconds % DAY) / 3600.0
    apart = (lags[:, 1:] - lags[:, :1]) / scale[:, None]
    return np.column_stack([lags[:, 0] / np.maximum(mean, 1e-9), apart, hour]), scale


def _mean(values: Floats) -> Floats:
    """Return each row's mean of those present; 0 where there is none."""
    present = np.isfinite(values)
    total = np.where(present, values, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(present.sum(axis=1), 1), dtype=np.float64)
