"""LeastBid: the instance where the request costs the least, of the prefix owner, oneself and a few others."""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, named_choice, named_sample, some_room


def least_cost(
    bids: Sequence[Bid],
    self_place: int,
    owner_place: int,  # noqa: ARG001 - every choice is asked so
) -> int:
    """Return the place of the lowest cost in seconds; at equal cost oneself, then the fewest requests."""
    any_room = some_room(bids)
    best = -1
    for place in range(len(bids)):
        bid = bids[place]
        if any_room and not bid.room:
            continue
        if best < 0 or bid.cost_seconds < bids[best].cost_seconds:
            best = place
        equal = bid.cost_seconds == bids[best].cost_seconds and best != self_place
        if equal and (place == self_place or bid.requests < bids[best].requests):
            best = place
    return best


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
        return named_sample(peers, self._bids, rng, (prefix_owner, self_id))

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the lowest cost in seconds."""
        return named_choice(least_cost, bids, state)
