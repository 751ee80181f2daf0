"""PrefixTokenLoad: who has the prefix, until its token load is too high; then the least token load.

The law of llm-d's default router (Aug 2026), the strong baseline; its calibrated limit is taken relative
to the least loaded instance asked (ours).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, random_sample, with_room

RELEASE_FACTOR = 1.5  # the owner keeps a prefix up to so many times the least token load
RELEASE_TOKENS = 2048.0  # and so many tokens more, so that small loads do not break affinity


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
        return random_sample(peers, self._bids, rng, (prefix_owner,))

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the prefix owner while its token load allows, else the least token load."""
        roomy = with_room(bids)
        least = min(roomy, key=lambda peer: roomy[peer].token_load)
        owner = state.prefix_owner
        limit = RELEASE_FACTOR * roomy[least].token_load + RELEASE_TOKENS
        if owner is not None and owner in roomy and roomy[owner].token_load <= limit:
            return owner
        return least
