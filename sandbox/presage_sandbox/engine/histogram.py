"""A histogram that takes many equal observations at once.

All running sequences of one iteration wait for their next token equally long, so one call per
iteration does what would otherwise be one per token. prometheus_client only writes it out.
"""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """Counts per bucket; `bounds` are inclusive upper bounds in ascending order, +Inf is implied."""

    def __init__(self, *bounds: float) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self._counts)

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value` (in the histogram's unit) so many times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times

    def cumulative(self) -> list[tuple[str, float]]:
        """Give (upper bound, observations up to it), as Prometheus writes buckets."""
        total = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip((*map(float, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            rows.append((str(bound), total))
        return rows
