"""The rate at which requests arrive now: fast where it has changed, steady where only chance moved it.

A mean over two minutes sees a step two minutes late; a mean over ten seconds takes luck for a step. The
likelihood-ratio test of a change point tells them apart: the rate is the mean since the last change that
chance does not explain. (Generalised likelihood ratio, as in CUSUM charts; the use here is ours.)
"""

import math
from dataclasses import dataclass

import numpy as np

from presage_policies.scaling.signals import ArrivalSignal, Floats

SIGNIFICANCE = 14.0  # of 2·ln(likelihood ratio), over all change points: about one false alarm in 100 looks
SHORTEST_SECONDS = 4.0  # a change is not looked for within the last few seconds alone
GROUP_SECONDS = 10.0  # arrivals are compared over so long to see how evenly they come
LEAST_DISPERSED, MOST_DISPERSED = 0.25, 16.0  # even a metronome may change its mind
TYPICAL = 0.57  # mean of the median of a dozen squared standard normals


@dataclass(frozen=True, slots=True)
class ArrivalRate:
    """Requests/s, the seconds over which it has been constant, and what it was before (None: no change)."""

    rate: float
    seconds: float
    before: float | None = None

    @property
    def fell_by(self) -> float:
        """By how much the last change was a fall, requests/s."""
        return 0.0 if self.before is None else max(0.0, self.before - self.rate)

    def variance(self, dispersion: float) -> float:
        """Return the variance of the estimate, of arrivals of that dispersion."""
        return dispersion * self.rate / self.seconds if self.seconds > 0 else 0.0


def arrival_rate(signal: ArrivalSignal, dispersion: float = 1.0) -> ArrivalRate:
    """Return the rate since the last change that a Poisson stream of that dispersion does not explain."""
    recent, before, bin_seconds = signal.requests, None, signal.bin_seconds
    while (split := _change(recent, bin_seconds, max(LEAST_DISPERSED, dispersion))) is not None:
        before = float(recent[:split].sum()) / (split * bin_seconds)
        recent = recent[split:]
    seconds = len(recent) * bin_seconds
    return ArrivalRate(float(recent.sum()) / seconds if seconds > 0 else 0.0, seconds, before)


def dispersion_of(signal: ArrivalSignal) -> float | None:
    """Return the variance of arrivals over their mean; None where there are too few to tell.

    From differences of neighbouring groups, which a slow trend leaves alone: E[(a - b)²/(a + b)] is the
    dispersion of a stream of constant rate, 1 for Poisson and 0 for evenly spaced.
    """
    size = max(1, round(GROUP_SECONDS / signal.bin_seconds))
    groups = len(signal.requests) // size
    if groups < 2:  # noqa: PLR2004 - a difference
        return None
    sums = signal.requests[len(signal.requests) - groups * size :].reshape(groups, size).sum(axis=1)
    pairs = sums[1:] + sums[:-1]
    known = pairs > 0
    if not known.any():
        return None
    return min(MOST_DISPERSED, float(np.median((sums[1:] - sums[:-1])[known] ** 2 / pairs[known]) / TYPICAL))


def variation_of(totals: Floats, requests: Floats) -> float | None:
    """Return the coefficient of variation of a length, from totals and requests by bin; None = too few."""
    count = float(requests.sum())
    known = requests > 0
    if known.sum() < 2 or totals.sum() <= 0:  # noqa: PLR2004 - a difference
        return None
    mean = float(totals.sum()) / count
    square = float(((totals[known] - requests[known] * mean) ** 2 / requests[known]).sum()) / (
        known.sum() - 1
    )
    return math.sqrt(square) / mean


def _change(counts: Floats, bin_seconds: float, dispersion: float) -> int | None:
    """Return the bin at which the likeliest change of rate lies, where it is significant."""
    bins, least = len(counts), max(1, round(SHORTEST_SECONDS / bin_seconds))
    if bins < 2 * least:
        return None
    before = np.cumsum(counts)[least - 1 : bins - least]
    total = float(counts.sum())
    splits = np.arange(least, bins - least + 1, dtype=float)
    ratio = 2 * (
        _likelihood(before, splits) + _likelihood(total - before, bins - splits) - _likelihood(total, bins)
    )
    best = int(np.argmax(ratio))
    return int(splits[best]) if ratio[best] > SIGNIFICANCE * dispersion else None


def _likelihood(counts: Floats | float, bins: Floats | float) -> Floats:
    """Return n·ln(n/T), the log-likelihood of a Poisson count at its own rate, less what cancels."""
    counts = np.asarray(counts, dtype=float)
    rates = np.where(counts > 0, counts, 1.0) / bins
    return counts * np.log(rates)
