"""Keeps the forecast of one service: made anew when a window has ended, off the event loop, and judged."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from presage_policies.forecast_record import ForecastRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    import presage_crds as crds
    from presage_policies.forecast_record import Accuracy
    from presage_policies.forecasting import Forecast, Forecaster, TokenSeries


class Foresight:
    """One forecaster for one service, rebuilt when its settings change."""

    def __init__(self, build: Callable[[crds.Forecast], Forecaster], thinking: Executor) -> None:
        self._build = build
        self._thinking = thinking
        self._settings: crds.Forecast | None = None
        self._forecaster: Forecaster | None = None
        self._made_for: tuple[float, int, int] | None = None
        self._forecast: Forecast | None = None
        self._record = ForecastRecord()

    @property
    def accuracy(self) -> Accuracy | None:
        """How good the forecasts that served were, over the last windows; None before any was judged."""
        return self._record.accuracy

    async def look(
        self, settings: crds.Forecast, series: TokenSeries, horizon_seconds: float, now: float
    ) -> Forecast | None:
        """Return the forecast over the horizon; None when history is too short or too old for one."""
        if settings != self._settings:
            self._settings, self._forecaster, self._made_for = settings, self._build(settings), None
        window = settings.window_seconds
        steps = math.ceil(horizon_seconds / window) + 1  # the horizon begins somewhere within a window
        made_for = (series.end, math.floor(now / window), steps)
        if self._made_for != made_for:
            loop = asyncio.get_running_loop()
            assert self._forecaster is not None  # built with the settings
            self._forecast = await loop.run_in_executor(
                self._thinking, self._forecaster.forecast, series, steps, now
            )
            self._made_for = made_for
            self._record = self._record.judged(series)
            if self._forecast is not None:
                self._record = self._record.made(self._forecast, horizon_seconds)
        return self._forecast
