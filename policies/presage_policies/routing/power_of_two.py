"""PowerOfTwo: the less busy of two random instances (Mitzenmacher, The Power of Two Choices, 2001)."""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.least_request import fewest_requests
from presage_policies.routing.pick import PickState, checked_count, named_choice, named_sample


class PowerOfTwo:
    """Two choices by request count, however many bids may be asked."""

    name = "PowerOfTwo"

    def __init__(self, bids: int = 3) -> None:
        checked_count(bids)

    def sample(
        self,
        peers: Sequence[str],
        self_id: str | None,  # noqa: ARG002 - the protocol's
        prefix_owner: str | None,  # noqa: ARG002 - the protocol's
        rng: np.random.Generator,
    ) -> list[str]:
        """Return two random peers."""
        return named_sample(peers, 2, rng)

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the fewer requests."""
        return named_choice(fewest_requests, bids, state)
