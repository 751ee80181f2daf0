"""First come, first served."""

from presage_policies.queueing.order import Waiting


class FCFS:
    """In order of arrival."""

    name = "FCFS"
    late_turn = 0

    def key(self, waiting: Waiting, now: float) -> tuple[float, ...]:  # noqa: ARG002 - the protocol's
        """Return the time of arrival."""
        return (waiting.arrived,)
