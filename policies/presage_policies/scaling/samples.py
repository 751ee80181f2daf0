"""Readings over time, as rules that average over a window keep them."""

import math
from dataclasses import dataclass

EDGE_SECONDS = 1e-6  # a reading exactly a window old is still in it, whatever floats make of it


@dataclass(frozen=True, slots=True)
class Samples:
    """Readings (time, value), oldest first; no older than the window that was last kept."""

    readings: tuple[tuple[float, float], ...] = ()

    def with_reading(self, now: float, value: float | None, keep_seconds: float) -> "Samples":
        """Return the readings of the last `keep_seconds` and the new one; None and NaN add nothing."""
        kept = tuple(r for r in self.readings if r[0] >= now - keep_seconds - EDGE_SECONDS)
        if value is None or not math.isfinite(value):
            return Samples(kept)
        return Samples((*kept, (now, value)))

    def quantile(self, level: float) -> float | None:
        """Return a quantile of the readings that are kept, linear between them; None without any."""
        values = sorted(value for _, value in self.readings)
        if not values:
            return None
        place = level * (len(values) - 1)
        below = math.floor(place)
        above = min(below + 1, len(values) - 1)
        return values[below] + (place - below) * (values[above] - values[below])

    def mean(self, now: float, seconds: float) -> float | None:
        """Return the mean of the readings of the last `seconds`; None without any."""
        values = [value for at, value in self.readings if at >= now - seconds - EDGE_SECONDS]
        return sum(values) / len(values) if values else None
