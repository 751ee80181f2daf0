"""The protocol of pick policies: whom to ask for a bid, and which bid wins.

A front holds one policy object; what state a policy has (a turn) lives in it. Every policy is asked the
same way and sees the same bids, so that comparisons differ in the pick alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from presage_policies.routing.bid import Bid


@dataclass(frozen=True, slots=True)
class PickState:
    """What a front knows beside the bids: itself, and who has served this prefix before."""

    self_id: str | None = None
    prefix_owner: str | None = None


class Pick(Protocol):
    """A routing policy."""

    @property
    def name(self) -> str:
        """The policy's name in the API."""
        ...

    def sample(
        self,
        peers: Sequence[str],
        self_id: str | None,
        prefix_owner: str | None,
        rng: np.random.Generator,
    ) -> list[str]:
        """Return whom of `peers` to ask, most wanted first, each once; empty only when `peers` is."""
        ...

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the winner among at least one bid, one with room where any has room."""
        ...


PickFactory = Callable[[int], Pick]  # the argument is how many peers are asked


def with_room(bids: Mapping[str, Bid]) -> Mapping[str, Bid]:
    """Return the bids that have room, or all when none has. Raises ValueError when there is no bid."""
    if not bids:
        raise ValueError("there is no bid to choose from: ask at least one peer")
    roomy = {peer: bid for peer, bid in bids.items() if bid.room}
    return roomy or bids


def random_sample(
    peers: Sequence[str], count: int, rng: np.random.Generator, first: Sequence[str | None] = ()
) -> list[str]:
    """Return `count` distinct peers: those of `first` that exist, then others at random."""
    asked = list(dict.fromkeys(peer for peer in first if peer is not None and peer in peers))[:count]
    others = [peer for peer in peers if peer not in asked]
    if not others:
        return asked
    order = rng.permutation(len(others))[: count - len(asked)]
    return asked + [others[i] for i in order]


def checked_count(count: int) -> int:
    """Return `count`. Raises ValueError below one."""
    if count < 1:
        raise ValueError(f"bids is {count}: ask at least 1 peer")
    return count
