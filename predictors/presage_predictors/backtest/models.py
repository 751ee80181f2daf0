"""The models that a backtest can ask, by name."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from presage_predictors.auto.fleet import Fleet
from presage_predictors.auto.forecaster import between_knots, knots
from presage_predictors.backtest.conformal import ConformalLastValue
from presage_predictors.backtest.controls import RollingControl
from presage_predictors.backtest.scores import Task
from presage_predictors.controls import HoltWinters, LastValue, SeasonalLevel
from presage_predictors.mlstm.network import Network
from presage_predictors.panel import Panel
from presage_predictors.panel.view import joined

Floats = NDArray[np.float64]


class Rolling(Protocol):
    """Anything that can say what it would have forecast at every origin of a past."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    def stated(self, values: Floats, window_seconds: float, ahead: NDArray[np.int64], first: int) -> Floats:
        """Return quantiles [origins, levels, ahead] at the origins first..len(values); NaN = none."""
        ...


class RollingAuto:
    """What serves: the blend of all with calibrated quantiles, from the first window of the past on."""

    name = "Auto"

    def __init__(self, network: Network, season_seconds: float) -> None:
        self._network = network
        self._season_seconds = season_seconds

    def stated(self, values: Floats, window_seconds: float, ahead: NDArray[np.int64], first: int) -> Floats:
        """Return what `Auto` would have stated, having lived through the whole past."""
        season = max(2, round(self._season_seconds / window_seconds))
        fleet = Fleet(self._network, 1, window_seconds, season, knots(int(ahead.max())))
        stated = fleet.learn(values[None], len(values) * window_seconds)[first - 1 :, 0]
        return between_knots(stated, fleet.ahead, int(ahead.max()))[:, :, ahead - 1]


class RollingNetwork:
    """The network alone, as it comes: not blended, not calibrated."""

    name = "mLSTM"

    def __init__(self, network: Network, season_seconds: float) -> None:
        self._network = network
        self._season_seconds = season_seconds

    def stated(self, values: Floats, window_seconds: float, ahead: NDArray[np.int64], first: int) -> Floats:
        """Return the network's quantiles at each origin."""
        season = max(2, round(self._season_seconds / window_seconds))
        panel = Panel(1, window_seconds, season, knots(int(ahead.max())))
        views = [
            panel.update(values[index : index + 1], (index + 1) * window_seconds)
            for index in range(len(values))
        ]
        stated = self._network.quantiles(joined(views[first - 1 :])).transpose(0, 2, 1)
        return between_knots(stated, panel.ahead, int(ahead.max()))[:, :, ahead - 1]


def known_models(network: Network, season_seconds: float) -> Mapping[str, Callable[[], Rolling]]:
    """Return what can be asked for by name, each made when it is."""
    return {
        "Auto": lambda: RollingAuto(network, season_seconds),
        "mLSTM": lambda: RollingNetwork(network, season_seconds),
        "LastValue": lambda: RollingControl(LastValue()),
        "LastValueConformal": ConformalLastValue,
        "SeasonalLevel": lambda: RollingControl(SeasonalLevel(season_seconds)),
        "HoltWinters": lambda: RollingControl(HoltWinters(season_seconds)),
    }


def ask(model: Rolling, task: Task) -> Floats:
    """Return what a model states over a task's origins, [origins, levels, ahead]."""
    return model.stated(task.values, task.window_seconds, task.ahead, task.first)
