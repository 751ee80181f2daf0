"""Token rates per window, as the forecasters want them: a fixed grid, with NaN where nothing is known.

Absent is not zero: a window in which no sidecar was scraped has no rate, a window in which sidecars
were scraped and nobody asked has rate 0.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from presage_policies.forecasting import TokenSeries

from presage_operator import promql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from presage_operator.prometheus import Prometheus

REREAD_WINDOWS = 2  # the newest windows are asked again: their last samples may have been late

COUNTERS = (promql.PROMPT_ARRIVED, promql.OUTPUT_PREDICTED, promql.OUTPUT_STREAMED)


@dataclass
class History:
    """The windows of one service, kept between passes so that each pass asks only for new ones."""

    window_seconds: int
    history_seconds: int
    _rates: dict[str, dict[int, float]] = field(default_factory=dict)
    _until: int = 0

    async def refresh(self, prometheus: Prometheus, selector: promql.ServiceSelector, now: float) -> None:
        """Read the windows that ended since the last call. Raises `MetricsError`, changing nothing."""
        window = self.window_seconds
        end = math.floor(now / window) * window
        if end == self._until and all(end in rates for rates in self._rates.values()):
            return
        oldest = end - self._windows() * window + window
        start = max(oldest, self._until - REREAD_WINDOWS * window + window) if self._until else oldest
        answers = await asyncio.gather(
            *(
                prometheus.range(promql.token_rate(selector, counter, window), start, end, window)
                for counter in COUNTERS
            )
        )
        for counter, answer in zip(COUNTERS, answers, strict=True):
            kept = {at: rate for at, rate in self._rates.get(counter, {}).items() if oldest <= at < start}
            self._rates[counter] = kept | answer
        self._until = end

    def series(self) -> TokenSeries:
        """Return the grid so far; empty arrays before the first successful `refresh`."""
        ends = [self._until - k * self.window_seconds for k in reversed(range(self._windows()))]
        prompt, predicted, streamed = (
            on_grid(self._rates.get(counter, {}), ends if self._until else []) for counter in COUNTERS
        )
        known = np.flatnonzero(~(np.isnan(prompt) & np.isnan(predicted) & np.isnan(streamed)))
        first = int(known[0]) if known.size else prompt.size
        return TokenSeries(
            window_seconds=float(self.window_seconds),
            end=float(self._until),
            prompt=prompt[first:],
            output=output_demand(predicted, streamed)[first:],
        )

    def _windows(self) -> int:
        return max(1, self.history_seconds // self.window_seconds)


def on_grid(rates: Mapping[int, float], ends: list[int]) -> NDArray[np.float64]:
    """Rates at the window ends `ends`, NaN where there is none."""
    return np.array([rates.get(end, math.nan) for end in ends], dtype=np.float64)


def output_demand(predicted: NDArray[np.float64], streamed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Output tokens per second that clients asked for (ours).

    What engines stream is capped by what they can stand, so under overload it hides demand; what
    was predicted on arrival does not. Predictions are scaled so that over the whole history they
    sum to what was streamed (between a half and twice), and where there is none the streamed rate stands in.
    """
    both = np.isfinite(predicted) & np.isfinite(streamed)
    asked = float(predicted[both].sum())
    scale = float(np.clip(streamed[both].sum() / asked, 0.5, 2.0)) if asked > 0 else 1.0
    return np.where(np.isfinite(predicted), predicted * scale, streamed)
