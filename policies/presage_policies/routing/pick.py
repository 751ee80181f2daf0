"""The protocol of pick policies: whom to ask for a bid, and which bid wins.

A front holds one policy object; what state a policy has (a turn) lives in it. Every policy is asked the
same way and sees the same bids, so that comparisons differ in the pick alone. What a policy decides stands
in functions of places: whom to ask among n peers, and whose bid of those asked. The simulator compiles
those; the objects here give the places their names.
"""

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from presage_policies.routing.bid import Bid

NOBODY = -1  # the place of who is not there


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
Choice = Callable[[Sequence[Bid], int, int], int]  # (bids, place of oneself, of the prefix owner) -> place


def some_room(bids: Sequence[Bid]) -> bool:
    """Tell whether any of the bids has room; where none has, all are as good."""
    for index in range(len(bids)):  # noqa: SIM110 - compiled too, where there are no generators
        if bids[index].room:
            return True
    return False


def ask(asked: MutableSequence[int], peers: int, first: int, second: int, rng: np.random.Generator) -> None:
    """Fill `asked` with distinct places below `peers`: `first`, `second` unless NOBODY, then random ones.

    Whoever asks everybody goes round from a random place, so that equal bids do not all fall to the same.
    """
    filled = 0
    for wanted in (first, second):
        if wanted != NOBODY and filled < len(asked) and not (filled == 1 and asked[0] == wanted):
            asked[filled] = wanted
            filled += 1
    if len(asked) == peers:
        _ask_everybody(asked, filled, int(rng.random() * peers))
        return
    for place in range(filled, len(asked)):
        asked[place] = _free(asked, place, int(rng.random() * (peers - place)))


def _ask_everybody(asked: MutableSequence[int], filled: int, start: int) -> None:
    place = filled
    for step in range(len(asked)):
        peer = (start + step) % len(asked)
        if not _among(asked, filled, peer):
            asked[place] = peer
            place += 1


def _among(asked: MutableSequence[int], count: int, peer: int) -> bool:
    for place in range(count):  # noqa: SIM110 - compiled too, where there are no generators
        if asked[place] == peer:
            return True
    return False


def _free(asked: MutableSequence[int], count: int, index: int) -> int:
    """Return the peer that is the `index`-th of those not among the first `count` asked."""
    peer = index
    while True:
        below = 0
        for place in range(count):
            if asked[place] <= peer:
                below += 1
        if peer == index + below:
            return peer
        peer = index + below


def named_sample(
    peers: Sequence[str], count: int, rng: np.random.Generator, first: Sequence[str | None] = ()
) -> list[str]:
    """Return `count` distinct peers: those of `first` (two at most) that exist, then others at random."""
    places = [place_of(peers, name) for name in first] + [NOBODY, NOBODY]
    asked = [NOBODY] * min(count, len(peers))
    ask(asked, len(peers), places[0], places[1], rng)
    return [peers[place] for place in asked]


def named_choice(choice: Choice, bids: Mapping[str, Bid], state: PickState) -> str:
    """Return whose bid wins. Raises ValueError when there is none."""
    if not bids:
        raise ValueError("there is no bid to choose from: ask at least one peer")
    peers = list(bids)
    place = choice(list(bids.values()), place_of(peers, state.self_id), place_of(peers, state.prefix_owner))
    return peers[place]


def place_of(peers: Sequence[str], name: str | None) -> int:
    """Return the place of a name among peers, NOBODY where it is not."""
    return peers.index(name) if name is not None and name in peers else NOBODY


def checked_count(count: int) -> int:
    """Return `count`. Raises ValueError below one."""
    if count < 1:
        raise ValueError(f"bids is {count}: ask at least 1 peer")
    return count
