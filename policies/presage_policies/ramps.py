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
        self._now: Floats = now
        self._left: Floats = left.astype(float)
        self._by_end: tuple[Floats, Floats] | None = None

    def ramp_iterations(self, iterations: int) -> float:
        """Return in how many of the coming iterations each ramp is alive, summed over ramps."""
        return float(np.minimum(self._left, iterations).sum())

    def token_iterations(self, iterations: int) -> float:
        """Return the tokens held, summed over the coming iterations."""
        lived = np.minimum(self._left, iterations)
        return float(lived @ (self._now + (lived - 1) / 2))

    def peak_beside(self, tokens: float, iterations: int, capacity: float) -> float:
        """Return the largest share of `capacity` held if one more ramp, `tokens` now, lived all iterations.

        What is held grows until a ramp ends, so it is largest in the last iteration of one, or of all.
        """
        last = iterations - 1
        ends, behind = self._sorted()
        ending = int(ends.searchsorted(last))  # so many end before the last iteration
        alive = len(ends) - ending
        peak = float((behind[ending] + alive * last) / capacity + (tokens + last) / capacity)
        if ending == 0:
            return peak
        ends = ends[:ending]
        held = behind[:ending] + np.arange(len(self._left), alive, -1) * ends
        return max(peak, float((held / capacity + (tokens + ends) / capacity).max()))

    def _sorted(self) -> tuple[Floats, Floats]:
        """Return the ramps' last iterations in order, and the tokens now of each and all that follow."""
        if self._by_end is None:
            order = self._left.argsort()
            behind = np.zeros(len(order) + 1)
            behind[:-1] = self._now[order][::-1].cumsum()[::-1]
            self._by_end = self._left[order] - 1, behind
        return self._by_end
