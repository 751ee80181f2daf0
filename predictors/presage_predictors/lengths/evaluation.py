"""How good length predictions are: errors of the median, ranks, and whether stated quantiles hold."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from presage_policies.lengths import WIRE_LEVELS, LengthPredictor, RequestFeatures

MEDIAN, LOW, HIGH = (WIRE_LEVELS.index(level) for level in (0.5, 0.05, 0.95))
NEAR = 0.25  # a prediction within this share of the truth is near

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """Quantiles at `WIRE_LEVELS` [requests, levels] and true lengths [requests], in tokens."""

    quantiles: Array
    truth: Array

    def taken(self, rows: NDArray[np.int64]) -> "Predicted":
        """Return the same of some requests."""
        return Predicted(self.quantiles[rows], self.truth[rows])


def predicted(
    predictor: LengthPredictor, requests: Sequence[RequestFeatures], truth: Sequence[int]
) -> Predicted:
    """Ask for each request; nothing is observed."""
    quantiles = [predictor.predict(request).as_wire() for request in requests]
    return Predicted(np.array(quantiles), np.array(truth, float))


def figures(result: Predicted) -> dict[str, float]:
    """Return the figures of at least one request; ranks of fewer than two distinct lengths are NaN."""
    truth, quantiles = result.truth, result.quantiles
    median = quantiles[:, MEDIAN]
    error = np.abs(median - truth)
    inside = (truth >= quantiles[:, LOW]) & (truth <= quantiles[:, HIGH])
    gap = truth[:, None] - quantiles
    levels = np.array(WIRE_LEVELS)
    return {
        "requests": float(len(truth)),
        "mae": float(error.mean()),
        "median_ape": float(np.median(error / truth)),
        "within25": float((error <= NEAR * truth).mean()),
        "spearman": spearman(median, truth),
        "kendall_tau": kendall_tau(median, truth),
        "pinball": float(np.maximum(levels * gap, (levels - 1) * gap).mean()),
        "coverage90": float(inside.mean()),
        "width90": float((quantiles[:, HIGH] - quantiles[:, LOW]).mean()),
    }


def microseconds(
    ask: Callable[[RequestFeatures], object], requests: Sequence[RequestFeatures]
) -> dict[str, float]:
    """Return the CPU time of asking a predictor, p50 and p99 in µs, requests one after the other.

    CPU time of the thread: on a core of its own it is the time that passes, and a busy machine is left out.
    """
    taken = np.zeros(len(requests))
    for place, request in enumerate(requests):
        begin = time.thread_time_ns()
        ask(request)
        taken[place] = (time.thread_time_ns() - begin) / 1000
    return {"us_p50": float(np.quantile(taken, 0.5)), "us_p99": float(np.quantile(taken, 0.99))}


def spearman(first: Array, second: Array) -> float:
    """Return Spearman's rank correlation, ties at their mean rank; NaN where one side is constant."""
    ranks = [_ranks(each) for each in (first, second)]
    centred = [each - each.mean() for each in ranks]
    scale = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / scale if scale > 0 else float("nan")


def kendall_tau(first: Array, second: Array) -> float:
    """Return Kendall's τ-b by Knight's method, O(n log n); NaN where one side is constant.

    Knight, "A computer method for calculating Kendall's tau with ungrouped data", JASA 1966.
    """
    count = len(first)
    order = np.lexsort((second, first))
    ordered = second[order]
    joint = np.stack([first[order], ordered], 1)
    pairs = count * (count - 1) / 2
    ties_first, ties_second = _tied_pairs(first), _tied_pairs(second)
    ties_both = _tied_pairs(np.unique(joint, axis=0, return_inverse=True)[1].reshape(-1).astype(float))
    discordant = _inversions(np.unique(ordered, return_inverse=True)[1])
    scale = float(np.sqrt((pairs - ties_first) * (pairs - ties_second)))
    concordant_less_discordant = pairs - ties_first - ties_second + ties_both - 2 * discordant
    return float(concordant_less_discordant) / scale if scale > 0 else float("nan")


def _ranks(values: Array) -> Array:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Array = (ends - (counts - 1) / 2)[place.reshape(-1)]
    return ranks


def _tied_pairs(values: Array) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(float)
    return float((counts * (counts - 1) / 2).sum())


def _inversions(values: NDArray[np.int64]) -> int:
    """Return how many pairs stand in falling order (a merge sort, level by level, in arrays)."""
    count, total = len(values), 0
    width = 1
    values = values.copy()
    while width < count:
        for begin in range(0, count - width, 2 * width):
            left, right = values[begin : begin + width], values[begin + width : begin + 2 * width]
            total += int((width - np.searchsorted(left, right, side="right")).sum())
            values[begin : begin + 2 * width] = np.sort(values[begin : begin + 2 * width], kind="stable")
        width *= 2
    return total
