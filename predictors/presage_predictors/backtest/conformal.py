"""The last value with conformal residuals: the control for quantiles.

Split conformal prediction (Vovk et al. 2005) over all residuals known so far, for each step ahead.
"""

import numpy as np
from numpy.typing import NDArray

from presage_predictors.controls import LastValue
from presage_predictors.controls.statistical import ASSUMED_ERRORS, LEVELS, MIN_ERRORS

Floats = NDArray[np.float64]


class ConformalLastValue:
    """The last value plus quantiles of every residual that it has had."""

    name = "LastValueConformal"

    def stated(self, values: Floats, window_seconds: float, ahead: NDArray[np.int64], first: int) -> Floats:
        """Return quantiles [origins, levels, ahead] at the origins first..len(values); NaN = none."""
        origins = np.arange(1, len(values) + 1)
        last = LastValue().paths(values, origins, 1, window_seconds)[:, 0]
        stated = np.empty((len(values) + 1 - first, len(LEVELS), len(ahead)))
        for column, steps in enumerate(ahead):
            residuals = values[steps:] - last[: max(0, len(values) - int(steps))]
            for row, origin in enumerate(range(first, len(values) + 1)):
                known = residuals[: max(0, origin - int(steps))]
                stated[row, :, column] = last[origin - 1] + _quantiles(known, float(last[origin - 1]))
        stated[:, LEVELS.index(0.5)] = last[first - 1 :, None]  # the control is the last value itself
        return np.maximum(stated, 0.0)


def _quantiles(residuals: Floats, last: float) -> Floats:
    present = residuals[np.isfinite(residuals)]
    if len(present) < MIN_ERRORS:
        return np.array(ASSUMED_ERRORS) * last
    corrected = np.minimum(np.array(LEVELS) * (1 + 1 / len(present)), 1.0)
    return np.asarray(np.quantile(present, corrected), dtype=np.float64)
