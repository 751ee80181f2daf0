"""Auto: the forecaster of one service, which weighs the learned model and the simple ones as it goes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from presage_policies.forecasting import Forecast, TokenSeries

from presage_predictors.auto.fleet import MODELS, Fleet
from presage_predictors.controls.statistical import LEVELS, STALE_STEPS
from presage_predictors.mlstm.network import Network
from presage_predictors.mlstm.shape import KNOTS

Floats = NDArray[np.float64]

REACH_SECONDS = 7200.0  # forecasts reach so far without starting over
JUDGED = 432  # windows of a given past over which models are judged: three days of ten minutes
ALONE = 0.6  # a model with less belief than this is named together with the next


class Auto:
    """Weighs models by how they have done on this very series, and states quantiles that hold.

    It remembers what it has seen and said, so give each service its own. A window that it has taken in is
    not taken back when late samples change it. History may be one window or a month.
    """

    name = "Auto"

    def __init__(self, network: Callable[[], Network], season_seconds: float = 86400.0) -> None:
        """`network` gives the network to use; when it gives another one, the past is judged anew."""
        if not season_seconds > 0:
            raise ValueError(f"seasonSeconds is {season_seconds}: give a positive number of seconds")
        self._source = network
        self._network: Network | None = None
        self._season_seconds = season_seconds
        self._fleet: Fleet | None = None
        self._end = 0.0
        self._stated = np.empty((2, len(LEVELS), 0))

    def forecast(self, series: TokenSeries, steps: int, now: float) -> Forecast | None:
        """Forecast `steps` windows from the one that contains `now`; None without any, or fresh, history.

        Raises ValueError when steps is below 1.
        """
        if steps < 1:
            raise ValueError(f"steps is {steps}: forecast at least 1 window")
        window = series.window_seconds
        passed = max(0, int((now - series.end) // window))
        if passed > STALE_STEPS or len(series) == 0:
            return None
        fleet = self._learn(series, passed + steps)
        if not np.isfinite(self._stated).all():
            return None
        between = between_knots(self._stated, fleet.ahead, passed + steps)[:, :, passed:]
        prompt, output = between
        return Forecast(self._named(fleet), series.end + passed * window, window, LEVELS, prompt, output)

    def _learn(self, series: TokenSeries, steps: int) -> Fleet:
        """Take in the windows that are new; all of them when this is not the series known so far."""
        window = series.window_seconds
        new = round((series.end - self._end) / window)
        network, known = self._source(), self._fleet
        rates = np.stack([series.prompt, series.output])
        other = network is not self._network or not 0 <= new < len(series)
        if known is None or other or known.window_seconds != window or known.reach < steps:
            return self._begin(network, rates, series, steps)
        if new > 0:
            self._stated = known.learn(rates[:, -new:], series.end)[-1]
            self._end = series.end
        return known

    def _begin(self, network: Network, rates: Floats, series: TokenSeries, steps: int) -> Fleet:
        window = series.window_seconds
        self._network = network
        season = max(2, round(self._season_seconds / window))
        ahead = knots(max(steps, round(REACH_SECONDS / window)))
        self._fleet = Fleet(network, len(rates), window, season, ahead)
        self._stated = self._fleet.learn(rates, series.end, JUDGED)[-1]
        self._end = series.end
        return self._fleet

    def _named(self, fleet: Fleet) -> str:
        """Return who is believed for the coming window: one model, or the two foremost."""
        shares = fleet.shares[:, :, 0].mean(axis=0)
        first, second = np.argsort(-shares, kind="stable")[:2]
        return MODELS[first] if shares[first] >= ALONE else f"{MODELS[first]}+{MODELS[second]}"


def knots(steps: int) -> NDArray[np.int64]:
    """Return the steps that are forecast so that `steps` lies between them (as far as they reach)."""
    enough = next((number for number, knot in enumerate(KNOTS) if knot >= steps), len(KNOTS) - 1)
    return np.array(KNOTS[: enough + 1], dtype=np.int64)


def between_knots(stated: Floats, ahead: NDArray[np.int64], steps: int) -> Floats:
    """Return [..., steps] from values at the knots, linear between them and level after the last."""
    wanted = np.minimum(np.arange(1, steps + 1), ahead[-1])
    right = np.searchsorted(ahead, wanted)
    left = np.maximum(right - 1, 0)
    span = np.maximum(ahead[right] - ahead[left], 1)
    share = (wanted - ahead[left]) / span
    return np.asarray(stated[..., left] * (1 - share) + stated[..., right] * share, dtype=np.float64)
