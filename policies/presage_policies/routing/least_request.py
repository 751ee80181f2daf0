"""LeastRequest: the instance with the fewest unfinished requests of a few random ones; the usual baseline."""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, named_choice, named_sample, some_room


def fewest_requests(
    bids: Sequence[Bid],
    self_place: int,  # noqa: ARG001 - every choice is asked so
    owner_place: int,  # noqa: ARG001 - every choice is asked so
) -> int:
    """Return the place of the fewest requests, the first of equals."""
    any_room = some_room(bids)
    best = -1
    for place in range(len(bids)):
        if any_room and not bids[place].room:
            continue
        if best < 0 or bids[place].requests < bids[best].requests:
            best = place
    return best


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
        return named_sample(peers, self._bids, rng)

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the fewest requests."""
        return named_choice(fewest_requests, bids, state)
