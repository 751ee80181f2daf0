"""Judges each scale-up by whether its pods were ready before the load needed them.

One definition for both services. Capacity of n instances is n times what the engine model sustains
with the trace's mean lengths. Load is the arriving tokens per second (prompt and output) of one
window; a window's load counts from the window's start.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from presage_simulator.pool_figures import ScaleUp

from presage_cli.demo.timeline import ServiceTimeline, Step, value_at


class Load(NamedTuple):
    """Offered tokens per second in each window, the first starting at wall-clock second `start`."""

    start: float
    window_seconds: float
    tokens_per_second: NDArray[np.float64]


def find_scale_ups(
    line: ServiceTimeline, load: Load, instance_tokens_per_second: float, start: float, end: float
) -> list[ScaleUp]:
    """List the scale-ups asked for within [start, end], in order.

    The load's first excess is searched from when the service last came down to `before` replicas
    (else from `start`): a service that shrank and grows again is judged by the new rise. A scale-up
    asked for when the load had already exceeded `before` is late by this definition.
    """
    ups = []
    for index, step in enumerate(line.asked):
        before = line.asked[index - 1].value if index else step.value
        if step.value <= before or not start <= step.at <= end:
            continue
        since = _last_descent(line.asked[:index], before, start)
        needed = _first_excess(load, before * instance_tokens_per_second, since, end)
        ups.append(ScaleUp(step.at, before, step.value, _ready_at(line, step, end), needed))
    return ups


def _last_descent(earlier: list[Step], to: int, start: float) -> float:
    """When the service last went from more than `to` down to `to`; `start` when it never did."""
    for index in range(len(earlier) - 1, 0, -1):
        if earlier[index].value <= to < earlier[index - 1].value:
            return max(start, earlier[index].at)
    return start


def _first_excess(load: Load, capacity: float, since: float, end: float) -> float | None:
    for index, rate in enumerate(load.tokens_per_second):
        begins = load.start + index * load.window_seconds
        ends = begins + load.window_seconds
        if ends > since and begins < end and rate > capacity:
            return max(begins, since)
    return None


def _ready_at(line: ServiceTimeline, step: Step, end: float) -> float | None:
    if value_at(line.ready, step.at) >= step.value:
        return step.at
    return next(
        (ready.at for ready in line.ready if step.at <= ready.at <= end and ready.value >= step.value), None
    )


def instances_needed(load: Load, instance_tokens_per_second: float) -> list[int]:
    """Instances that each window's load asks for, at least one."""
    return [max(1, math.ceil(rate / instance_tokens_per_second)) for rate in load.tokens_per_second]
