"""The figures of a run: what became of requests, and what the pods cost.

Names and definitions are those of the demo's `result.json` where it has them: percentiles are over
finished requests by the nearest-rank method, attainment and goodput are over all, those turned away
included. None = undefined (a percentile of nothing).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presage_simulator.results import Outcome
from presage_simulator.workload import Floats, Ints, Workload

Bools = NDArray[np.bool_]
Figures = dict[str, float | None]

MILLISECONDS = 1000.0
PERCENTILES = (50, 90, 95, 99)

DEFINITIONS = {
    "requests": "arrivals",
    "failed": "turned away, refused by the engine, or never finished",
    "lost": "accepted and then neither finished nor refused: 0 by construction, kept for the demo's sake",
    "ttft_*": "arrival to first token, finished requests, nearest rank",
    "tpot_*": "first to last token over the tokens after the first; one-token answers have none",
    "e2e_*": "arrival to last token, finished requests",
    "slo_attainment": "share of all requests that finished within every objective of their class",
    "goodput": "those requests per second of the slice",
    "smooth_goodput": "tokens per second of the slice, each request's tokens less 1 token per TPOT objective "
    "of lateness of its latest token; token i is due at the TTFT objective + i x the TPOT objective; a "
    "request is worth at least 0, so that turning it away never pays (form of arXiv 2410.14257)",
    "normalised_latency": "E2E seconds per output token, mean over finished requests",
    "queue_seconds_*": "arrival until an engine accepted the request",
    "preemptions": "sequences that lost their KV cache and began anew",
    "replica_seconds": "pods from creation to end, cold start and drain included, until the last answer",
    "mean_replicas": "replica-seconds over the seconds until the last answer, or the slice's end if later",
    "peak_replicas": "most pods at one instant",
    "scale_ups": "increases of the replicas asked for",
    "ready_before_needed": "share of scale-ups n to m with m pods ready before the tokens/s of a window "
    "first exceeded what n instances sustain by the engine model; null without any scale-up",
    "wasted_replica_seconds": "integral of replicas above those of perfect foresight under the same seed",
    "missing_replica_seconds": "integral of ready replicas below those of perfect foresight under that seed",
    "kv_use": "share of KV in use, mean over instances and time",
    "imbalance": "coefficient of variation of load over ready instances, mean over time",
    "messages": "bids asked for per request",
}


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of requests: arrays of shape [n], seconds; NaN = never."""

    ttft: Floats
    tpot: Floats
    e2e: Floats
    queue: Floats
    met: Bools
    output_tokens: Ints
    ttft_objective: Floats
    tpot_objective: Floats
    preemptions: int

    @property
    def finished(self) -> Bools:
        """Who got a whole answer."""
        return np.isfinite(self.e2e)

    def only(self, chosen: Bools) -> "Fates":
        """Return the fates of some; preemptions are told for all only."""
        columns: dict[str, Any] = {name: getattr(self, name)[chosen] for name in COLUMNS}
        return Fates(**columns, preemptions=0)

    @staticmethod
    def joined(parts: Sequence["Fates"]) -> "Fates":
        """Return the fates of several services' requests together."""
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS
        }
        return Fates(**columns, preemptions=sum(part.preemptions for part in parts))


COLUMNS = ("ttft", "tpot", "e2e", "queue", "met", "output_tokens", "ttft_objective", "tpot_objective")


def fates(outcome: Outcome, workload: Workload) -> Fates:
    """Return what became of a workload's requests."""
    promises = [each.objectives for each in workload.classes]
    return Fates(
        ttft=outcome.ttft,
        tpot=outcome.tpot,
        e2e=outcome.e2e,
        queue=outcome.bound - workload.at,
        met=outcome.met,
        output_tokens=workload.output_tokens,
        ttft_objective=np.array([each.ttft_seconds for each in promises])[workload.klass],
        tpot_objective=np.array([each.tpot_seconds for each in promises])[workload.klass],
        preemptions=outcome.preemptions,
    )


def request_figures(told: Fates, seconds: float) -> Figures:
    """Return the figures of requests that arrived over so many seconds."""
    finished = told.finished
    e2e, output = told.e2e[finished], told.output_tokens[finished]
    count = len(told.met)
    figures: Figures = {
        "requests": float(count),
        "failed": float(count - finished.sum()),
        "lost": 0.0,
        "slo_attainment": float(told.met.mean()) if count else None,
        "goodput": float(told.met.sum()) / seconds,
        "smooth_goodput": float(smooth_benefit(told).sum()) / seconds,
        "normalised_latency": _mean(e2e / output),
        "queue_seconds_mean": _mean(told.queue),
        "queue_seconds_p99": percentile(told.queue, 99),
        "preemptions": float(told.preemptions),
    }
    for name, values in (("ttft", told.ttft), ("tpot", told.tpot), ("e2e", told.e2e)):
        figures[f"{name}_mean_ms"] = _scaled(_mean(values[finished]))
        for percent in PERCENTILES:
            figures[f"{name}_p{percent}_ms"] = _scaled(percentile(values[finished], percent))
    return figures


def smooth_benefit(told: Fates) -> Floats:
    """Return each request's tokens less the tokens a reader would have read while the latest was late.

    The form of smooth goodput, n - a·f(l) (arXiv 2410.14257), with f(l) = l in seconds and a = one token per
    TPOT objective (constants ours). Between first and last token an even pace is assumed, so the latest
    token is the first or the last. Unfinished requests are worth nothing, and none is worth less.
    """
    late_first = told.ttft - told.ttft_objective
    late_last = told.e2e - told.ttft_objective - (told.output_tokens - 1) * told.tpot_objective
    late = np.maximum(0.0, np.maximum(late_first, late_last))
    benefit = np.maximum(0.0, told.output_tokens - late / told.tpot_objective)
    return np.where(told.finished, benefit, 0.0)


def percentile(values: Floats, percent: float) -> float | None:
    """Return the nearest-rank percentile of what is finite; None of nothing."""
    present = values[np.isfinite(values)]
    if len(present) == 0:
        return None
    rank = max(0, math.ceil(percent / 100 * len(present)) - 1)
    return float(np.partition(present, rank)[rank])


def _mean(values: Floats) -> float | None:
    present = values[np.isfinite(values)]
    return float(present.mean()) if len(present) else None


def _scaled(value: float | None) -> float | None:
    return None if value is None else value * MILLISECONDS
