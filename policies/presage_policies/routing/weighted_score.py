"""WeightedScore: queue 3, KV 2, prefix 2; llm-d's router before it went over to token load.

Scores of 0 to 1: the queue relative to the shortest and longest of those asked, and free KV, as llm-d's
scorers give them; cached tokens relative to the most that any of those asked has cached, where llm-d takes
the share of the prompt (bids carry no prompt length): small hits weigh more here. The highest weighted sum
wins.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from presage_policies.routing.bid import Bid
from presage_policies.routing.pick import PickState, checked_count, named_choice, named_sample, some_room

QUEUE, KV, PREFIX = 3.0, 2.0, 2.0


def highest_score(
    bids: Sequence[Bid],
    self_place: int,  # noqa: ARG001 - every choice is asked so
    owner_place: int,  # noqa: ARG001 - every choice is asked so
) -> int:
    """Return the place of the highest weighted score, the first of equals."""
    any_room = some_room(bids)
    shortest, longest, cached = bids[0].waiting, bids[0].waiting, 1
    for place in range(len(bids)):
        shortest = min(shortest, bids[place].waiting)
        longest = max(longest, bids[place].waiting)
        cached = max(cached, bids[place].cached_tokens)
    best, most = -1, 0.0
    for place in range(len(bids)):
        bid = bids[place]
        if any_room and not bid.room:
            continue
        queue = 1.0 if longest == shortest else (longest - bid.waiting) / (longest - shortest)
        score = QUEUE * queue + KV * (1.0 - bid.kv_usage) + PREFIX * bid.cached_tokens / cached
        if best < 0 or score > most:
            best, most = place, score
    return best


class WeightedScore:
    """A weighted sum of scores; asks everybody, as an endpoint picker does."""

    name = "WeightedScore"

    def __init__(self, bids: int = 3) -> None:
        self._bids = checked_count(bids)

    def sample(
        self,
        peers: Sequence[str],
        self_id: str | None,  # noqa: ARG002 - the protocol's
        prefix_owner: str | None,
        rng: np.random.Generator,
    ) -> list[str]:
        """Return everybody, the prefix owner first."""
        return named_sample(peers, len(peers), rng, (prefix_owner,))

    def choose(self, bids: Mapping[str, Bid], state: PickState) -> str:
        """Return the highest score."""
        return named_choice(highest_score, bids, state)
