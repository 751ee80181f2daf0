"""What is seen of a whole service besides its pods: arrivals by the second, and latencies of the last minute.

Token rates by window are too slow to tell a step from chance within seconds; arrivals, counted by the
sidecars as they come, are the earliest sign of more load that exists.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Totals of requests, prompt and output tokens in bins of equal length, oldest first, shape [bins] each.

    Raises ValueError when the shapes differ or the bin is no length.
    """

    bin_seconds: float
    requests: Floats
    prompt_tokens: Floats
    output_tokens: Floats

    def __post_init__(self) -> None:
        if not self.bin_seconds > 0:
            raise ValueError(f"bin_seconds is {self.bin_seconds!r}: give a positive number of seconds")
        shapes = {self.requests.shape, self.prompt_tokens.shape, self.output_tokens.shape}
        if len(shapes) != 1 or self.requests.ndim != 1:
            raise ValueError(f"arrivals have shapes {sorted(shapes)}: give one total a bin, of equally many")


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalSignal(Bins):
    """Arrivals in the last complete bins up to now, none missing; output tokens as predicted on arrival."""

    @property
    def seconds(self) -> float:
        """How far back the bins reach."""
        return self.bin_seconds * len(self.requests)

    def bins_of(self, seconds: float) -> int:
        """Return how many of the bins make the last `seconds`: at least one, at most all there are."""
        return min(len(self.requests), max(1, round(seconds / self.bin_seconds)))

    def tokens(self, seconds: float) -> float | None:
        """Return prompt and output tokens per second over the last `seconds`; None without any bin."""
        bins = self.bins_of(seconds)
        if bins == 0:
            return None
        total = self.prompt_tokens[-bins:].sum() + self.output_tokens[-bins:].sum()
        return float(total) / (bins * self.bin_seconds)


@dataclass(frozen=True, slots=True)
class LatencySignal:
    """90th percentiles (s) over the requests of the last `window_seconds`; None = absent, NaN becomes None.

    `ttft_p90` and `tpot_p90` were measured on requests whose first token or end fell into the window; the
    predicted ones were named by the router as the requests of the window arrived.
    """

    window_seconds: float
    ttft_p90: float | None = None
    tpot_p90: float | None = None
    predicted_ttft_p90: float | None = None
    predicted_tpot_p90: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not math.isfinite(value):
                object.__setattr__(self, field.name, None)
