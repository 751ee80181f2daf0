"""RoundRobin: each instance in turn; the baseline that looks at nothing."""

from collections.abc import Mapping, MutableSequence, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import NOBODY, PickState, checked_count, named_choice


def first_with_room(
    bids: Sequence[Bid],
    self_place: int,  # noqa: ARG001 - every choice is asked so
    owner_place: int,  # noqa: ARG001 - every choice is asked so
) -> int:
    """Return the first place with room, the very first when none has."""
    for place in range(len(bids)):
        if bids[place].room:
            return place
    return 0


def ask_in_turn(asked: MutableSequence[int], peers: int, turn: int) -> None:
    """Fill `asked` with the places from `turn` on, round and round."""
    for place in range(len(asked)):
        asked[place] = (turn + place) % peers


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
        turn = int(rng.random() * len(ordered)) if self._turn is None else self._turn
        self._turn = turn + 1
        asked = [NOBODY] * min(self._bids, len(ordered))
        ask_in_turn(asked, len(ordered), turn)
        return [ordered[place] for place in asked]

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the first in turn (bids keep the order of asking)."""
        return named_choice(first_with_room, bids, state)
