"""LastValue: the coming windows will be like the last one. The control that every model must beat."""

import numpy as np
from numpy.typing import NDArray

from presage_predictors.controls.statistical import Floats, Statistical


class LastValue(Statistical):
    """The last rate that is present."""

    name = "LastValue"

    def least_windows(self, window_seconds: float) -> int:  # noqa: ARG002 - the protocol's
        """Return 1: any present rate will do."""
        return 1

    def paths(self, values: Floats, origins: NDArray[np.int64], steps: int, window_seconds: float) -> Floats:  # noqa: ARG002 - the protocol's
        """Return the last present value before each origin, for every step."""
        present = np.where(np.isfinite(values), np.arange(len(values)), -1)
        last = np.maximum.accumulate(present)[origins - 1]
        value = np.where(last >= 0, values[np.maximum(last, 0)], np.nan)
        return np.repeat(value[:, None], steps, axis=1)
