"""What the pods of a run did: how many, whether in time, and how that compares with perfect foresight."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from presage_simulator.results import ReplicaSteps
from presage_simulator.workload import Floats, Ints


def sampled(steps: ReplicaSteps, times: Floats) -> tuple[Ints, Ints]:
    """Return the replicas asked for and those ready at each time (s)."""
    index = np.maximum(0, np.searchsorted(steps.at, times, side="right") - 1)
    return steps.current[index], steps.ready[index]


def together(parts: Sequence[ReplicaSteps]) -> ReplicaSteps:
    """Return the replicas of several services added up."""
    times = np.unique(np.concatenate([part.at for part in parts]))
    columns = [sampled(part, times) for part in parts]
    current, ready = (np.sum([column[kind] for column in columns], axis=0) for kind in (0, 1))
    return ReplicaSteps(times, current.astype(np.int32), ready.astype(np.int32))


@dataclass(frozen=True, slots=True)
class ScaleUp:
    """One scale-up from `before` to `after` replicas, asked for at `at`.

    `ready` is when `after` pods were first ready, `needed` when the load first exceeded the capacity of
    `before` instances (all in seconds of one clock; None: not in this run).
    """

    at: float
    before: int
    after: int
    ready: float | None
    needed: float | None

    @property
    def in_time(self) -> bool:
        """Whether its pods were ready before the load first exceeded the former capacity."""
        return self.ready is not None and (self.needed is None or self.ready <= self.needed)


def scale_ups(steps: ReplicaSteps, rates: Floats, window_seconds: float, capacity: float) -> list[ScaleUp]:
    """Return every scale-up, judged by tokens/s a window and what one instance sustains.

    As in the demo: the load's first excess counts from when the service last came down to the former
    replicas, else from the start.
    """
    ups = []
    for index in np.flatnonzero(np.diff(steps.current) > 0) + 1:
        before, after = int(steps.current[index - 1]), int(steps.current[index])
        since = _last_descent(steps, int(index), before)
        over = np.flatnonzero(rates > before * capacity) * window_seconds
        over = over[over + window_seconds > since]
        needed = max(since, float(over[0])) if len(over) else None
        ready = steps.at[index:][steps.ready[index:] >= after]
        ups.append(
            ScaleUp(float(steps.at[index]), before, after, float(ready[0]) if len(ready) else None, needed)
        )
    return ups


def share_in_time(ups: Sequence[ScaleUp]) -> float | None:
    """Return the share of scale-ups in time; None without any."""
    return sum(up.in_time for up in ups) / len(ups) if ups else None


def against(own: ReplicaSteps, needed: ReplicaSteps, seconds: float) -> tuple[float, float]:
    """Return replica-seconds that were wasted and missing against another system's, within [0, seconds]."""
    times = np.unique(np.concatenate([own.at, needed.at, [0.0, seconds]]))
    times = times[(times >= 0) & (times <= seconds)]
    (asked, ready), (asked_there, ready_there) = (sampled(steps, times[:-1]) for steps in (own, needed))
    lasting = np.diff(times)
    wasted = np.maximum(0, asked - asked_there) @ lasting
    missing = np.maximum(0, ready_there - ready) @ lasting
    return float(wasted), float(missing)


def _last_descent(steps: ReplicaSteps, until: int, to: int) -> float:
    for index in range(until - 1, 0, -1):
        if steps.current[index] <= to < steps.current[index - 1]:
            return float(steps.at[index])
    return float(steps.at[0])
