"""From factors to a law: how a tower's reading of a prompt and a model's vector make quantiles.

The log of a response's tokens is `BASE + r[0] + x·w` about its median, where the tower gives the reading r,
x = (1, r[1], ..., r[K-1]) and w is the model's vector: a low-rank interaction of prompt and model. What
depends on the model is linear in w, so that w can be learnt from a few requests in closed form. (Ours.)
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from presage_policies.lengths import WIRE_LEVELS

RANK = 12  # K: entries of x and of a model's vector
BASE = 5.0  # log tokens that nothing is added to: 148 tokens
MEDIAN = WIRE_LEVELS.index(0.5)
READING = RANK + 1 + len(WIRE_LEVELS)  # r: RANK of place, one of spread, one a level of shape
SIDE = RANK + 1  # a model's vector: w, and what it adds to the log spread
SCORES = np.array([NormalDist().inv_cdf(level) for level in WIRE_LEVELS])  # the normal law's own quantiles
_STEPS = np.log(np.expm1(np.diff(SCORES)))  # so that an undisturbed shape is the normal law's
SPREADS = (-4.0, 1.2)  # bounds of the log spread
SPREAD = -0.5  # log spread that nothing is added to
FIRST_WEIGHT, STEP_WEIGHT = 0.3, 0.5  # how far a reading moves the shape
_LONGEST = 13.0  # log tokens: beyond what any engine writes

Vector = NDArray[np.float64]


def design(reading: Vector) -> Vector:
    """Return x of a reading, RANK entries, the first of them 1."""
    x = reading[:RANK].copy()
    x[0] = 1.0
    return x


def log_quantiles(reading: Vector, side: Vector, widening: float = 0.0) -> Vector:
    """Return log tokens at `WIRE_LEVELS`; `widening` is the variance that not knowing w adds."""
    middle = BASE + reading[0] + side[0] + reading[1:RANK] @ side[1:RANK]
    spread = np.exp(min(max(SPREAD + reading[RANK] + side[RANK], SPREADS[0]), SPREADS[1]))
    if widening > 0:
        spread = np.sqrt(spread * spread + widening)
    shape = reading[RANK + 1 :]
    steps = np.logaddexp(0.0, _STEPS + STEP_WEIGHT * shape[1:])
    places = np.empty(len(WIRE_LEVELS))
    places[0] = SCORES[0] + FIRST_WEIGHT * shape[0]
    np.cumsum(steps, out=places[1:])
    places[1:] += places[0]
    law: Vector = np.minimum(middle + spread * (places - places[MEDIAN]), _LONGEST)
    return law


def score_of(log_tokens: float, quantiles: Vector) -> float:
    """Return the normal score at which a length lies in a law (linear between quantiles and beyond them)."""
    k = int(np.searchsorted(quantiles, log_tokens))
    k = min(max(k, 1), len(quantiles) - 1)
    width = max(float(quantiles[k] - quantiles[k - 1]), 1e-6)
    share = (log_tokens - float(quantiles[k - 1])) / width
    return float(SCORES[k - 1] + share * (SCORES[k] - SCORES[k - 1]))


def at_scores(quantiles: Vector, scores: Vector) -> Vector:
    """Return the law's log tokens at normal scores, which may lie beyond its outermost quantiles."""
    inner = np.interp(scores, SCORES, quantiles)
    low = (quantiles[1] - quantiles[0]) / (SCORES[1] - SCORES[0])
    high = (quantiles[-1] - quantiles[-2]) / (SCORES[-1] - SCORES[-2])
    inner += np.minimum(scores - SCORES[0], 0) * low + np.maximum(scores - SCORES[-1], 0) * high
    return np.minimum(inner, _LONGEST)
