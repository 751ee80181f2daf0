"""Shortest predicted response first: the best mean wait, and the longest responses may starve."""

from presage_policies.queueing.order import Waiting


class ShortestPredicted:
    """By expected output tokens (SPJF; arXiv 2408.15792 ranks likewise)."""

    name = "ShortestPredicted"
    late_turn = 0

    def key(self, waiting: Waiting, now: float) -> tuple[float, ...]:  # noqa: ARG002 - the protocol's
        """Return the expected length, tokens."""
        return (waiting.length.mean,)
