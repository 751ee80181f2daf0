"""Bursts shorter than a cold start: what they took beyond the instances that the rate had asked for in time.

A pod that is asked for when such a burst is seen comes after it, so what bursts take must stand before. The
arrivals of the last seconds are replayed on the engine model to learn what they took; remembered are the
requests of each need, and kept is what suffices all but the share that the percentile forgives. Ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

MEMORY_SECONDS = 21_600.0  # the longest, over which what was seen fades to a third
ENOUGH_REQUESTS = 20.0  # before a percentile of them means anything


@dataclass(frozen=True, slots=True)
class Bursts:
    """Requests by the instances that they took beyond what stood, and by those that they took in all."""

    beyond: Mapping[int, float] = field(default_factory=dict)
    whole: Mapping[int, float] = field(default_factory=dict)

    def seen(self, requests: float, took: int, stood: int, faded: float) -> "Bursts":
        """Return the memory after requests that took so many where `stood` had been asked for in time.

        `faded` = the share that is left of what was remembered.
        """
        return Bursts(
            _added(self.beyond, max(0, took - stood), requests, faded),
            _added(self.whole, took, requests, faded),
        )

    def recur(self, percentile: float) -> bool:
        """Tell whether more requests came in bursts than the percentile forgives."""
        return _quantile(self.beyond, percentile) > 0

    def needed(self, base: int, percentile: float) -> int:
        """Return the instances that stand bursts when the rate needs `base`: as seen, in either measure."""
        beyond, whole = _quantile(self.beyond, percentile), _quantile(self.whole, percentile)
        return max(base, min(base + beyond, whole)) if beyond > 0 else base


def fading(seconds: float, lead: float, percentile: float) -> float:
    """Return what is left after so long, of a memory as long as objectives forgive one lead time each."""
    memory = min(MEMORY_SECONDS, lead / max(1e-6, 1 - percentile / 100))
    return math.exp(-seconds / memory)


def _added(counts: Mapping[int, float], key: int, requests: float, faded: float) -> Mapping[int, float]:
    aged = {each: faded * count for each, count in counts.items()}
    aged[key] = aged.get(key, 0.0) + requests
    return aged


def _quantile(counts: Mapping[int, float], percentile: float) -> int:
    """Return the least that suffices `percentile` of the requests; 0 while there are too few."""
    total = sum(counts.values())
    if total < ENOUGH_REQUESTS:
        return 0
    spoilt = (1 - percentile / 100) * total
    left = total
    for key in sorted(counts):
        left -= counts[key]
        if left <= spoilt:
            return key
    return max(counts)
