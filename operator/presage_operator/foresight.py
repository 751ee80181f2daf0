"""Keeps the forecast of one service: made anew when a window has ended, off the event loop."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    import presage_crds as crds
    from presage_policies.forecasting import Forecast, Forecaster, TokenSeries


class Foresight:
    """One forecaster for one service, rebuilt when its settings change."""

    def __init__(self, build: Callable[[crds.Forecast], Forecaster], thinking: Executor) -> None:
        self._build = build
        self._thinking = thinking
        self._settings: crds.Forecast | None = None
        self._forecaster: Forecaster | None = None
        self._made_for: tuple[float, int] | None = None
        self._forecast: Forecast | None = None

    async def look(
        self, settings: crds.Forecast, series: TokenSeries, horizon_seconds: float, now: float
    ) -> Forecast | None:
        """Return the forecast over the horizon; None when there is too little history, or it is a season old."""
        if settings != self._settings:
            self._settings, self._forecaster, self._made_for = settings, self._build(settings), None
        # The series ends in the past (by less than a window while data comes in): reach from there.
        age = max(0.0, now - series.end)
        if age > settings.season_seconds:
            return None
        reach = age + horizon_seconds
        steps = max(1, math.ceil(reach / settings.window_seconds))
        if self._made_for != (series.end, steps):
            loop = asyncio.get_running_loop()
            assert self._forecaster is not None  # built with the settings
            self._forecast = await loop.run_in_executor(
                self._thinking, self._forecaster.forecast, series, steps, now
            )
            self._made_for = (series.end, steps)
        return self._forecast
