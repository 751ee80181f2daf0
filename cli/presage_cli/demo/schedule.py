"""Turns the slices into the very requests that both services get.

A window of the original service holds some ten thousand requests, so its load is steady within
the window; the scaled-down window holds a few dozen, and left to chance its token rate would be
mostly noise. So the number of requests in a window is the series' (not drawn), their instants are a
Poisson process given that number (uniform order statistics), and lengths are a stratified sample: the
n requests of a window take one pair from each n-th of the trace, ordered by total length, in random
order. Over many windows the mix of lengths is the trace's (ours).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presage_cli.demo.plan import Plan
from presage_cli.demo.traces import Lengths, Shape, TraceError


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: seconds from the start of what counts (negative: warm-up), lengths in tokens."""

    at: float
    prompt_tokens: int
    output_tokens: int


def request_rates(shape: Shape, plan: Plan) -> NDArray[np.float64]:
    """Return requests per second at each service in every window of the series, shape (windows,).

    Scaled so that the busiest replayed window has `plan.peak_requests_per_second`.
    """
    replayed = _replayed(shape, plan)
    return shape.requests_per_minute * (plan.peak_requests_per_second / float(replayed.max()))


def build_schedule(shape: Shape, lengths: Lengths, plan: Plan) -> list[Arrival]:
    """Lay out all requests of the run in time order; the same plan gives the same list.

    Raises TraceError when the slice is shorter than the plan asks for.
    """
    rng = np.random.default_rng(plan.seed)
    first = plan.trace.first_window - plan.trace.lead_windows
    last = plan.trace.first_window + plan.trace.windows
    _replayed(shape, plan)
    counts = whole_counts(request_rates(shape, plan)[first:last] * plan.window_seconds)
    starts = (np.arange(first, last) - plan.trace.first_window) * plan.window_seconds
    instants = np.concatenate(
        [
            start + np.sort(rng.uniform(0, plan.window_seconds, count))
            for start, count in zip(starts, counts, strict=True)
        ]
    )
    picks = np.concatenate([stratified_picks(lengths, int(count), rng) for count in counts])
    return [
        Arrival(float(at), int(lengths.prompt_tokens[pick]), int(lengths.output_tokens[pick]))
        for at, pick in zip(instants, picks, strict=True)
    ]


def whole_counts(expected: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round so that every running total is within half a request of the exact one."""
    totals = np.floor(np.cumsum(expected) + 0.5).astype(np.int64)
    return np.diff(totals, prepend=0)


def stratified_picks(lengths: Lengths, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose `count` rows of the trace, one from each of `count` equal shares by total length, shuffled."""
    by_total = np.argsort(lengths.prompt_tokens + lengths.output_tokens, kind="stable")
    places = (np.arange(count) + rng.uniform(0, 1, count)) / max(1, count)
    picks = by_total[(places * len(by_total)).astype(np.int64)]
    rng.shuffle(picks)
    return picks.astype(np.int64)


def offered_tokens(arrivals: list[Arrival], plan: Plan) -> NDArray[np.float64]:
    """Arriving tokens per second (prompt and output) in each window that counts, shape (windows,).

    A request's output counts where the request arrives: that is the load it brings.
    """
    tokens = np.zeros(plan.trace.windows)
    for arrival in arrivals:
        window = int(arrival.at // plan.window_seconds)
        if 0 <= window < plan.trace.windows:
            tokens[window] += arrival.prompt_tokens + arrival.output_tokens
    return tokens / plan.window_seconds


def _replayed(shape: Shape, plan: Plan) -> NDArray[np.float64]:
    """Rates of the windows that count, in requests per minute."""
    first, last = plan.trace.first_window, plan.trace.first_window + plan.trace.windows
    if first - plan.trace.lead_windows < 1 or last > len(shape.requests_per_minute):
        raise TraceError(
            f"the plan replays windows {first - plan.trace.lead_windows} to {last} of a series of "
            f"{len(shape.requests_per_minute)}: leave at least one before them as history"
        )
    return shape.requests_per_minute[first:last]
