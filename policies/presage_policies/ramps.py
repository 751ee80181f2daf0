"""Sums and peaks of many ramps without writing them out iteration by iteration.

A bid asks what a request of some length would meet, once for every request. Between the ends of ramps
everything is linear, so O(n log n) in the ramps answers exactly, however many iterations are looked at.
The functions are also compiled by the simulator.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ramp_iterations(left: Floats, iterations: int) -> float:
    """Return in how many of the coming iterations each ramp is alive, summed over ramps."""
    return float(np.minimum(left, iterations).sum())


def token_iterations(now: Floats, left: Floats, iterations: int) -> float:
    """Return the tokens held, summed over the coming iterations."""
    lived = np.minimum(left, iterations)
    return float((lived * (now + (lived - 1) / 2)).sum())


def peak_beside(ends: Floats, behind: Floats, tokens: float, iterations: int, capacity: float) -> float:
    """Return the largest share of `capacity` held if one more ramp, `tokens` now, lived all iterations.

    `ends` are the ramps' last iterations in order, `behind[k]` the tokens now of ramp k and all that follow.
    What is held grows until a ramp ends, so it is largest in the last iteration of one, or of all.
    """
    last = iterations - 1
    ending = np.searchsorted(ends, last)  # so many end before the last iteration
    alive = len(ends) - ending
    peak = float((behind[ending] + alive * last) / capacity + (tokens + last) / capacity)
    if ending == 0:
        return peak
    first = ends[:ending]
    held = behind[:ending] + np.arange(len(ends), alive, -1) * first
    return max(peak, float((held / capacity + (tokens + first) / capacity).max()))


def overload_share(ends: Floats, behind: Floats, capacity: float, slots: int, level: float) -> float:
    """Return the share of the next `slots` iterations in which the ramps hold more than `level`."""
    over, ramp = 0, 0
    for iteration in range(slots):
        while ramp < len(ends) and ends[ramp] < iteration:
            ramp += 1
        if (behind[ramp] + (len(ends) - ramp) * iteration) / capacity > level:
            over += 1
    return over / slots


def peak_alone(ends: Floats, behind: Floats, capacity: float) -> float:
    """Return the largest share of `capacity` that the ramps ever hold."""
    if len(ends) == 0:
        return 0.0
    return float(((behind[:-1] + np.arange(len(ends), 0, -1) * ends) / capacity).max())


class Ramps:
    """Ramps at one moment: ramp r holds `now[r]` + i tokens in each iteration i below `left[r]`.

    Whole numbers, `left` at least 1. Results are exact: all sums stay whole.
    """

    def __init__(self, now: NDArray[np.float64], left: NDArray[np.int64]) -> None:
        self.now: Floats = now
        self.left: Floats = left.astype(float)
        self._by_end: tuple[Floats, Floats] | None = None

    def ramp_iterations(self, iterations: int) -> float:
        """Return in how many of the coming iterations each ramp is alive, summed over ramps."""
        return ramp_iterations(self.left, iterations)

    def token_iterations(self, iterations: int) -> float:
        """Return the tokens held, summed over the coming iterations."""
        return token_iterations(self.now, self.left, iterations)

    def peak_beside(self, tokens: float, iterations: int, capacity: float) -> float:
        """Return the largest share of `capacity` held beside one more ramp, `tokens` now, over all."""
        ends, behind = self.by_end()
        return peak_beside(ends, behind, tokens, iterations, capacity)

    def by_end(self) -> tuple[Floats, Floats]:
        """Return the ramps' last iterations in order, and the tokens now of each and all that follow."""
        if self._by_end is None:
            order = self.left.argsort()
            behind = np.zeros(len(order) + 1)
            behind[:-1] = self.now[order][::-1].cumsum()[::-1]
            self._by_end = self.left[order] - 1, behind
        return self._by_end
