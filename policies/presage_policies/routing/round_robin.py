"""RoundRobin: each instance in turn; the baseline that looks at nothing."""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, with_room


class RoundRobin:
    """The next instance in turn that has room. Fronts begin at random turns, so as not to march in step."""

    name = "RoundRobin"

    def __init__(self, bids: int = 3) -> None:
        self._bids = checked_count(bids)
        self._turn: int | None = None

    def sample(
        self,
        peers: Sequence[str],
        self_id: str | None,  # noqa: ARG002 - the protocol's
        prefix_owner: str | None,  # noqa: ARG002 - the protocol's
        rng: np.random.Generator,
    ) -> list[str]:
        """Return the next few in turn."""
        if not peers:
            return []
        ordered = sorted(peers)
        turn = int(rng.integers(len(ordered))) if self._turn is None else self._turn
        self._turn = turn + 1
        return [ordered[(turn + i) % len(ordered)] for i in range(min(self._bids, len(ordered)))]

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:  # noqa: ARG002 - the protocol's
        """Return the first in turn (bids keep the order of asking)."""
        return next(iter(with_room(bids)))
