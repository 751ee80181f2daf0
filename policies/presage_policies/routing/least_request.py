"""LeastRequest: the instance with the fewest unfinished requests of a few random ones; the usual baseline."""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, random_sample, with_room


class LeastRequest:
    """Power of d choices by request count; equal counts fall to whoever was asked first, at random."""

    name = "LeastRequest"

    def __init__(self, bids: int = 3) -> None:
        self._bids = checked_count(bids)

    def sample(
        self,
        peers: Sequence[str],
        self_id: str | None,  # noqa: ARG002 - the protocol's
        prefix_owner: str | None,  # noqa: ARG002 - the protocol's
        rng: np.random.Generator,
    ) -> list[str]:
        """Return random peers."""
        return random_sample(peers, self._bids, rng)

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:  # noqa: ARG002 - the protocol's
        """Return the fewest requests."""
        roomy = with_room(bids)
        return min(roomy, key=lambda peer: roomy[peer].requests)
