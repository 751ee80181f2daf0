"""LeastBid: the instance where the request costs the least, of the prefix owner, oneself and a few others."""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, random_sample, with_room


class LeastBid:
    """Power of d choices with exact bids; at equal cost oneself, then the fewest requests."""

    name = "LeastBid"

    def __init__(self, bids: int = 3) -> None:
        self._bids = checked_count(bids)

    def sample(
        self,
        peers: Sequence[str],
        self_id: str | None,
        prefix_owner: str | None,
        rng: np.random.Generator,
    ) -> list[str]:
        """Return the prefix owner, oneself, then random others."""
        return random_sample(peers, self._bids, rng, (prefix_owner, self_id))

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the lowest cost in seconds."""
        roomy = with_room(bids)
        return min(
            roomy, key=lambda peer: (roomy[peer].cost_seconds, peer != state.self_id, roomy[peer].requests)
        )
