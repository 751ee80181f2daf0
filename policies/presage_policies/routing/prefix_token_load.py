"""PrefixTokenLoad: who has the prefix, until its token load is too high; then the least token load.

The law of llm-d's default router (Aug 2026), the strong baseline; its calibrated limit is taken relative
to the least loaded instance asked (ours).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, named_choice, named_sample, some_room

RELEASE_FACTOR = 1.5  # the owner keeps a prefix up to so many times the least token load
RELEASE_TOKENS = 2048.0  # and so many tokens more, so that small loads do not break affinity


def owner_or_least_tokens(
    bids: Sequence[Bid],
    self_place: int,  # noqa: ARG001 - every choice is asked so
    owner_place: int,
) -> int:
    """Return the place of the prefix owner while its token load allows, else of the least token load."""
    any_room = some_room(bids)
    least = -1
    for place in range(len(bids)):
        if any_room and not bids[place].room:
            continue
        if least < 0 or bids[place].token_load < bids[least].token_load:
            least = place
    if owner_place >= 0 and (bids[owner_place].room or not any_room):
        limit = RELEASE_FACTOR * bids[least].token_load + RELEASE_TOKENS
        if bids[owner_place].token_load <= limit:
            return owner_place
    return least


class PrefixTokenLoad:
    """Prefix affinity with a release at saturation, and least token load."""

    name = "PrefixTokenLoad"

    def __init__(self, bids: int = 3) -> None:
        self._bids = checked_count(bids)

    def sample(
        self,
        peers: Sequence[str],
        self_id: str | None,  # noqa: ARG002 - the protocol's
        prefix_owner: str | None,
        rng: np.random.Generator,
    ) -> list[str]:
        """Return the prefix owner, then random others."""
        return named_sample(peers, self._bids, rng, (prefix_owner,))

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the prefix owner while its token load allows, else the least token load."""
        return named_choice(owner_or_least_tokens, bids, state)
