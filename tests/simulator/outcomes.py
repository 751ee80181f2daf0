"""Outcomes made by hand, for figures whose right values are known."""

from collections.abc import Sequence

import numpy as np
from presage_policies.objectives import Objectives
from presage_simulator.results import Outcome, ReplicaSteps
from presage_simulator.workload import Workload

OBJECTIVES = Objectives(1.0, 0.1)


def steps(*entries: tuple[float, int, int]) -> ReplicaSteps:
    """Return replica steps from (at, current, ready)."""
    columns = np.array(entries, dtype=float).T
    return ReplicaSteps(columns[0], columns[1].astype(np.int32), columns[2].astype(np.int32))


def outcome(
    requests: Sequence[tuple[float, float, float, int]],
    replicas: ReplicaSteps | None = None,
    *,
    replica_seconds: float = 100.0,
    ended_at: float = 100.0,
) -> Outcome:
    """Return an outcome of requests (at, TTFT, E2E, output tokens); NaN = never, bound = TTFT / 2."""
    at, ttft, e2e, output = (np.array(column, dtype=float) for column in zip(*requests, strict=True))
    n = len(at)
    return Outcome(
        workload=Workload.of(at, np.full(n, 10, np.int32), output.astype(np.int32), OBJECTIVES),
        bound=at + ttft / 2,
        first_token=at + ttft,
        finished=at + e2e,
        instance=np.where(np.isfinite(e2e), 0, -1).astype(np.int32),
        preempted=np.zeros(n, np.int16),
        replicas=steps((0, 1, 1)) if replicas is None else replicas,
        replica_seconds=replica_seconds,
        preemptions=3,
        kv_use_mean=0.5,
        imbalance=0.25,
        messages=2 * n,
        decisions=(),
        ended_at=ended_at,
    )
