"""Many series forecast together: simple forecasts and their records, the network, the blend, calibration."""

import sys

import numpy as np
from numpy.typing import NDArray

from presage_predictors.auto.blend import Blend
from presage_predictors.auto.calibration import Calibration
from presage_predictors.controls.statistical import LEVELS
from presage_predictors.mlstm.network import Network
from presage_predictors.mlstm.shape import KNOTS
from presage_predictors.panel import Panel, View
from presage_predictors.panel.experts import EXPERTS
from presage_predictors.panel.view import joined

Floats = NDArray[np.float64]

NETWORK = "mLSTM"
SIMPLE = (
    "LastValue",
    "HoltWinters",
    "SeasonalLevel",
    "Profile",
    "ProfileStep",
)  # the experts that may serve themselves
MODELS = (NETWORK, *SIMPLE)
PRIOR = np.array([0.75, 0.05, 0.05, 0.05, 0.05, 0.05])  # belief before anything was seen
MEDIAN = LEVELS.index(0.5)


class Fleet:
    """Rows of rates (one kind of one service each), forecast at once, moved on window by window.

    `ahead` names the steps that are forecast (1 = the coming window).
    """

    def __init__(
        self,
        network: Network,
        rows: int,
        window_seconds: float,
        season_windows: int,
        ahead: NDArray[np.int64],
    ) -> None:
        self._network = network
        self._panel = Panel(rows, window_seconds, season_windows, ahead)
        self._blend = Blend(rows, PRIOR, ahead)
        self._calibration = Calibration(rows, LEVELS, ahead)
        self._used = [EXPERTS.index(name) for name in SIMPLE]
        self.window_seconds = window_seconds
        self.ahead = ahead

    @property
    def reach(self) -> int:
        """How many steps ahead may be asked for; beyond the last knot the forecast stays level."""
        return int(self.ahead[-1]) if self.ahead[-1] < KNOTS[-1] else sys.maxsize

    @property
    def shares(self) -> Floats:
        """Return how much each of MODELS is believed, [rows, models, ahead]."""
        return self._blend.shares

    def learn(self, values: Floats, end: float, judged: int | None = None) -> Floats:
        """Take in windows [rows, windows] that end at `end` (seconds) and return what was stated after each.

        The result is [windows, rows, levels, ahead]: quantiles of rates. Of the windows only the last
        `judged` are forecast (all by default): a past too old to be judged by needs no network.
        """
        rows, windows = values.shape
        first = 0 if judged is None else max(0, windows - judged)
        ends = end - (windows - 1 - np.arange(windows)) * self.window_seconds
        for index in range(first):
            self._panel.advance(values[:, index])
        views = [self._panel.update(values[:, index], float(ends[index])) for index in range(first, windows)]
        if not views:
            return np.empty((0, rows, len(LEVELS), len(self.ahead)))
        made = self._network.quantiles(joined(views)).reshape(len(views), rows, len(self.ahead), -1)
        return np.stack(
            [
                self._state(values[:, first + index], view, made[index].transpose(0, 2, 1))
                for index, view in enumerate(views)
            ]
        )

    def _state(self, values: Floats, view: View, made: Floats) -> Floats:
        """Judge what was said of the newest window, then say what comes, [rows, levels, ahead]."""
        self._blend.judge(values)
        self._calibration.judge(values)
        said = np.concatenate([made[:, MEDIAN : MEDIAN + 1], view.said[:, self._used]], axis=1)
        mixture = self._blend.mix(said, view.unit)
        return self._calibration.state(made - said[:, :1] + mixture[:, None], view.unit)
