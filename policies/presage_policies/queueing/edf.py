"""Earliest deadline first: the deadline of the first token, or of the whole response where one is given."""

from presage_policies.queueing.order import Waiting


def deadline_of(arrived: float, ttft_seconds: float, deadline_seconds: float) -> float:
    """Return when the request is due, seconds; `deadline_seconds` infinite = none for the whole response."""
    return arrived + (ttft_seconds if deadline_seconds == float("inf") else deadline_seconds)


class EDF:
    """By deadline (Liu and Layland 1973)."""

    name = "EDF"
    late_turn = 0

    def key(self, waiting: Waiting, now: float) -> tuple[float, ...]:  # noqa: ARG002 - the protocol's
        """Return the deadline."""
        return (deadline_of(waiting.arrived, waiting.objectives.ttft_seconds, waiting.deadline_seconds),)
