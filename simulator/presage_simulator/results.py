"""What a simulation brought: every request's fate as columns, every change of replicas, and totals."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from presage_policies.scaling import Decision

from presage_simulator.workload import Floats, Ints, Shorts, Workload


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaSteps:
    """Pods over time: from `at[k]` on, `current[k]` are asked for and `ready[k]` of them serve."""

    at: Floats  # s
    current: Ints
    ready: Ints


@dataclass(frozen=True, eq=False)
class Outcome:
    """One system's run over one workload; times in virtual seconds, NaN = never.

    `instance` -1 = turned away, or refused by the engine as too long for its KV cache. `messages` counts
    what fronts send: one for each bid asked and one for each guard that is told that a request waits.
    `kv_use_mean` and `imbalance` (coefficient of variation of KV use) are over ready instances, means over
    time. `decisions`: what the scaler decided when, and why.
    """

    workload: Workload
    bound: Floats  # shape [requests], s when an engine accepted it
    first_token: Floats  # shape [requests], s
    finished: Floats  # shape [requests], s
    instance: Ints  # shape [requests]
    preempted: Shorts  # shape [requests], times
    replicas: ReplicaSteps
    replica_seconds: float
    preemptions: int
    kv_use_mean: float
    imbalance: float
    messages: int
    decisions: tuple[tuple[float, Decision], ...]
    ended_at: float

    @cached_property
    def ttft(self) -> Floats:
        """Seconds from arrival to the first token."""
        return self.first_token - self.workload.at

    @cached_property
    def e2e(self) -> Floats:
        """Seconds from arrival to the last token."""
        return self.finished - self.workload.at

    @cached_property
    def tpot(self) -> Floats:
        """Seconds per token after the first; NaN for one-token answers and unfinished ones."""
        steps = self.workload.output_tokens - 1
        return np.where(steps > 0, (self.finished - self.first_token) / np.maximum(steps, 1), np.nan)

    @cached_property
    def met(self) -> NDArray[np.bool_]:
        """Whether each request finished within its class's objectives and deadline."""
        classes = self.workload.classes
        ttft = np.array([c.objectives.ttft_seconds for c in classes])[self.workload.klass]
        tpot = np.array([c.objectives.tpot_seconds for c in classes])[self.workload.klass]
        deadline = np.array([np.inf if c.deadline_seconds is None else c.deadline_seconds for c in classes])[
            self.workload.klass
        ]
        paced = np.isnan(self.tpot) | (self.tpot <= tpot)
        whole = np.isfinite(self.finished) & (self.e2e <= deadline)
        return whole & (self.ttft <= ttft) & paced
