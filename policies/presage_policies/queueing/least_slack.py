"""LeastSlack: who must start soonest to meet its first-token objective, and nobody who cannot any more. Ours.

The slack of a waiting request is its TTFT deadline less now less its own prefill. Earliest deadline first
is best while everyone can be served in time and collapses when not: it then serves those that are late
already. So requests without slack go behind those with some, in order of arrival; and so that none of them
starves, every `LATE_TURN`-th request that is taken is the oldest of them.
"""

from presage_policies.engine import BatchShape, EngineProfile, prefill_seconds
from presage_policies.queueing.order import Waiting

LATE_TURN = (
    8  # an eighth of what is taken is kept for those that are late: their wait ends, the rest hardly waits
)


def latest_start(profile: EngineProfile, arrived: float, prompt_tokens: int, ttft_seconds: float) -> float:
    """Return when the prefill must begin at the latest, seconds, on an engine that does nothing else."""
    return arrived + ttft_seconds - prefill_seconds(profile, prompt_tokens, 0, BatchShape(0, 0, 0, 0))


class LeastSlack:
    """By the latest start; those that missed it last."""

    name = "LeastSlack"
    late_turn = LATE_TURN

    def __init__(self, profile: EngineProfile) -> None:
        self._profile = profile

    def key(self, waiting: Waiting, now: float) -> tuple[float, ...]:
        """Return whether it is too late, then the latest start, or the arrival where it is."""
        start = latest_start(
            self._profile, waiting.arrived, waiting.prompt_tokens, waiting.objectives.ttft_seconds
        )
        return (0.0, start) if now <= start else (1.0, waiting.arrived)
