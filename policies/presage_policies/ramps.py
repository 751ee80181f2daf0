"""Sums and peaks of many ramps without writing them out iteration by iteration.

A bid asks what a request of some length would meet, once for every request. Between the ends of ramps
everything is linear, so O(n log n) in the ramps answers exactly, however many iterations are looked at.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Ramps:
    """Ramps at one moment: ramp r holds `now[r]` + i tokens in each iteration i below `left[r]`.

    Whole numbers, `left` at least 1. Results are exact: all sums stay whole.
    """

    def __init__(self, now: NDArray[np.float64], left: NDArray[np.int64]) -> None:
        order = np.argsort(left)
        self._left: Floats = left[order].astype(float)
        now = now[order]
        self._now = now
        self._behind = np.zeros(len(now) + 1)  # tokens now of ramp k and of all that end no earlier
        self._behind[:-1] = now[::-1].cumsum()[::-1]
        self._alive = np.arange(len(now), 0.0, -1.0)

    def ramp_iterations(self, iterations: int) -> float:
        """Return in how many of the coming iterations each ramp is alive, summed over ramps."""
        return float(np.minimum(self._left, iterations).sum())

    def token_iterations(self, iterations: int) -> float:
        """Return the tokens held, summed over the coming iterations."""
        lived = np.minimum(self._left, iterations)
        return float(lived @ self._now + (lived * (lived - 1)).sum() / 2)

    def peak_beside(self, tokens: float, iterations: int, capacity: float) -> float:
        """Return the largest share of `capacity` held if one more ramp, `tokens` now, lived all iterations.

        What is held grows until a ramp ends, so it is largest in the last iteration of one, or of all.
        """
        last = iterations - 1
        ending = int(self._left.searchsorted(iterations))  # so many end before the last iteration
        held = self._behind[ending] + (len(self._now) - ending) * last
        peak = float(held / capacity + (tokens + last) / capacity)
        if ending == 0:
            return peak
        ends = self._left[:ending] - 1
        held_then = self._behind[:ending] + self._alive[:ending] * ends
        return max(peak, float((held_then / capacity + (tokens + ends) / capacity).max()))
