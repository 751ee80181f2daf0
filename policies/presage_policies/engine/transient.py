"""How a pool stands a sudden rise until help comes: the transient that a steady state does not see.

Between a step in load and the first pod that answers it lies a cold start. Batches fill up meanwhile, and
only when they are full does anybody wait, so a pool withstands more for two minutes than for ever, and
sizing its reserve by the steady state would pay for more than is needed. A fluid model; ours.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from presage_policies.engine.pooled import RequestShape, decode_step, prefill_work, slots_of
from presage_policies.engine.timing import EngineProfile

Floats = NDArray[np.float64]

STEP_SECONDS = 1.0
TINY = 1e-9  # requests/s, instead of none
BUSY_WITH_PROMPTS = 0.9  # the most of its time that an instance is taken to give to prompts


@dataclass(frozen=True, slots=True)
class Surge:
    """The worst of a surge: seconds that a new request waits for a slot, and seconds per output token."""

    wait_seconds: float
    tpot_seconds: float
    decoding: float


def surge(  # noqa: PLR0917 - a pool, a rise and a shape
    profile: EngineProfile,
    replicas: int,
    before: float,
    during: float,
    seconds: float,
    shape: RequestShape,
    percentile: float,
) -> Surge | None:
    """Return what `replicas` go through when `before` requests/s become `during` for that many seconds.

    The pool starts at its steady state with as many sequences more as the percentile of their fluctuation.
    None when `before` alone has no steady state there.
    """
    pool = _Fluid(profile, replicas, shape)
    decoding = pool.steady(before / replicas)
    if decoding is None:
        return None
    z = NormalDist().inv_cdf(percentile / 100)
    decoding += z * math.sqrt(decoding / replicas * (1 + shape.dispersion) / 2)
    decoding = min(decoding, pool.slots)
    waiting, longest, slowest = 0.0, 0.0, pool.iteration(decoding, before / replicas)
    most = decoding
    for _ in range(math.ceil(seconds / STEP_SECONDS)):
        arriving = during / replicas
        admitted, decoding = pool.stepped(decoding, waiting / STEP_SECONDS + arriving)
        waiting = max(0.0, waiting + (arriving - admitted) * STEP_SECONDS)
        longest = max(longest, waiting / max(pool.served(decoding, admitted), TINY))
        slowest = max(slowest, pool.iteration(decoding, admitted))
        most = max(most, decoding)
    return Surge(longest, slowest, most)


def replayed(  # noqa: PLR0917 - a pool, its load and a shape
    profile: EngineProfile,
    replicas: int,
    arrivals: Floats,
    bin_seconds: float,
    judged: int,
    shape: RequestShape,
) -> Surge:
    """Return the worst of the last `judged` bins when `replicas`, idle before, go through these arrivals.

    `arrivals` = requests of each bin, shape [bins], oldest first. What an answer feels of slow iterations is
    their mean over its length: a second of prompts spoils one of a dozen tokens, and not one of a thousand.
    """
    pool = _Fluid(profile, replicas, shape)
    decoding, waiting, pace = 0.0, 0.0, pool.iteration(0.0, 0.0)
    longest, slowest, most = 0.0, 0.0, 0.0
    for index, count in enumerate(arrivals):
        arriving = float(count) / bin_seconds / replicas
        admitted, decoding = pool.stepped(decoding, waiting / bin_seconds + arriving, bin_seconds)
        waiting = max(0.0, waiting + (arriving - admitted) * bin_seconds)
        iteration = pool.iteration(decoding, admitted)
        pace += min(1.0, bin_seconds / (shape.output_tokens * iteration)) * (iteration - pace)
        if index >= len(arrivals) - judged:
            leaves = max(admitted, pool.served(decoding, admitted), TINY)  # the queue, by prompts or by slots
            longest = max(longest, waiting / leaves)
            slowest, most = max(slowest, pace), max(most, decoding)
    return Surge(longest, slowest, most)


class _Fluid:
    """One of several equal instances as a fluid: sequences decode, prompts take their share of the time."""

    def __init__(self, profile: EngineProfile, replicas: int, shape: RequestShape) -> None:
        self.slots = slots_of(profile, shape)
        self.replicas = replicas
        self._fixed = profile.coefficients.fixed
        self._work = prefill_work(profile, shape)
        self._step = decode_step(profile, shape)
        self._steps = max(1.0, shape.output_tokens - 1)

    def iteration(self, decoding: float, admitted: float) -> float:
        """Return the mean seconds of an iteration."""
        prompts = min(BUSY_WITH_PROMPTS, admitted * self._work)
        return (self._fixed + self._step * decoding) / (1 - prompts)

    def served(self, decoding: float, admitted: float) -> float:
        """Return the requests/s that end, and make room."""
        return decoding / (self._steps * self.iteration(decoding, admitted))

    def steady(self, rate: float) -> float | None:
        """Return the sequences that decode at a constant rate; None when it cannot be served."""
        idle = 1 - rate * (self._work + self._steps * self._step)
        if idle <= 0:
            return None
        decoding = rate * self._steps * self._fixed / idle
        return decoding if decoding < self.slots else None

    def stepped(self, decoding: float, wanting: float, seconds: float = STEP_SECONDS) -> tuple[float, float]:
        """Return the requests/s admitted in one step, and the sequences that decode after it.

        In a long step short answers come and go, so no more leave than are there.
        """
        most = min(wanting, BUSY_WITH_PROMPTS / self._work)
        leaving = self.served(decoding, most)
        room = (self.slots - decoding) / seconds + leaving
        admitted = min(most, max(0.0, room))
        return admitted, max(0.0, decoding + (admitted - leaving) * seconds)
