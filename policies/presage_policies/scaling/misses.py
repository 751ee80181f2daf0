"""What was measured against what the model promised: a correction of the load that pools are sized for.

A model that is wrong for a service (answers too short, prompts too uneven) stays wrong, and sizing by it
misses the objectives for ever. So requests that missed them while the pool was as large as the model asks
raise the load that it is asked about: integral action on the model's error, which fades. Ours.
"""

import math
from dataclasses import dataclass, replace

from presage_policies.scaling.policy import Observation

RATE_SECONDS = 60.0  # instances' `finished` and `slo_met` are of so long
ENOUGH_REQUESTS = 20.0  # to tell a share
MOST = 2.0  # a model that is wrong by more is none to size by
FADING_SECONDS = 7_200.0


@dataclass(frozen=True, slots=True)
class Misses:
    """`factor` on the load; requests that finished and missed since it was last judged at `judged_at`.

    `short_at` = when the pool was last smaller than the model asks, or first seen.
    """

    factor: float = 1.0
    finished: float = 0.0
    missed: float = 0.0
    judged_at: float = -math.inf
    short_at: float | None = None
    seen_at: float | None = None

    def seen(self, observation: Observation, needed: int) -> "Misses":
        """Return the correction after a look at a pool of which the model asks `needed` instances.

        A shortage is not the model's error, nor is what it has left behind, so requests count once the pool
        has been large enough for a lead time. They are judged once a lead time, since what the last
        judgement asked for comes no sooner.
        """
        now, lead = observation.now, observation.horizon_seconds
        since = 0.0 if self.seen_at is None else now - self.seen_at
        short_at = now if self.short_at is None or observation.ready < needed else self.short_at
        state = replace(self, factor=self._faded(since), seen_at=now, short_at=short_at)
        if now < short_at + lead:
            return replace(state, finished=0.0, missed=0.0, judged_at=now)
        share = min(1.0, since / RATE_SECONDS)
        finished, missed = fates(observation)
        state = replace(state, finished=self.finished + share * finished, missed=self.missed + share * missed)
        due = now >= self.judged_at + lead and state.finished >= ENOUGH_REQUESTS
        return state.judged(observation) if due else state

    def judged(self, observation: Observation) -> "Misses":
        """Return the correction after raising it by the share that missed and was not forgiven."""
        forgiven = 0.0 if observation.objectives is None else 1 - observation.objectives.percentile / 100
        beyond = max(0.0, self.missed / self.finished - forgiven)
        factor = min(MOST, self.factor * (1 + beyond))
        return replace(self, factor=factor, finished=0.0, missed=0.0, judged_at=observation.now)

    def _faded(self, seconds: float) -> float:
        return 1 + (self.factor - 1) * math.exp(-seconds / FADING_SECONDS)


def fates(observation: Observation) -> tuple[float, float]:
    """Return how many requests finished in the last minute, and how many of them missed an objective."""
    known = [
        (each.finished, each.slo_met)
        for each in observation.instances
        if each.finished is not None and each.slo_met is not None
    ]
    return sum(count for count, _ in known), sum(count * (1 - met) for count, met in known)
