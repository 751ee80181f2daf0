"""Llumnix: the instance with the most free KV for each request that it has.

Llumnix' dispatch rule (arXiv 2406.03243, section 4.4, as its code has it): the highest of (free blocks less
the blocks that waiting requests ask for) / requests, over all instances. Its live migration is not here.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, named_choice, named_sample, some_room


def freest(
    bids: Sequence[Bid],
    self_place: int,  # noqa: ARG001 - every choice is asked so
    owner_place: int,  # noqa: ARG001 - every choice is asked so
) -> int:
    """Return the place of the most free KV a request; an instance without requests is freest of all."""
    any_room = some_room(bids)
    best, most = -1, 0.0
    for place in range(len(bids)):
        bid = bids[place]
        if any_room and not bid.room:
            continue
        free = 1.0 - bid.kv_usage - bid.waiting_kv
        freeness = free / bid.requests if bid.requests > 0 else math.inf
        if best < 0 or freeness > most:
            best, most = place, freeness
    return best


class Llumnix:
    """Dispatch by freeness; asks everybody, as Llumnix' global scheduler does."""

    name = "Llumnix"

    def __init__(self, bids: int = 3) -> None:
        self._bids = checked_count(bids)

    def sample(
        self,
        peers: Sequence[str],
        self_id: str | None,  # noqa: ARG002 - the protocol's
        prefix_owner: str | None,  # noqa: ARG002 - the protocol's
        rng: np.random.Generator,
    ) -> list[str]:
        """Return everybody, from a random place on."""
        return named_sample(peers, len(peers), rng)

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the freest."""
        return named_choice(freest, bids, state)
