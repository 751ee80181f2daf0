"""The protocol of queue orders, and what an order may know of a waiting request."""

import math
from dataclasses import dataclass
from typing import Protocol

from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request that waits at its front; `arrived` in seconds."""

    request_id: str
    arrived: float
    prompt_tokens: int
    length: LengthDistribution
    objectives: Objectives
    client: str = ""
    deadline_seconds: float = math.inf  # for the whole response, from arrival


class Order(Protocol):
    """Says who goes first: the smallest key at the time of taking."""

    @property
    def name(self) -> str:
        """The order's name in the API."""
        ...

    @property
    def late_turn(self) -> int:
        """Every so many taken requests one of those whose key begins with 1 goes first; 0 = never."""
        ...

    def key(self, waiting: Waiting, now: float) -> tuple[float, ...]:
        """Return the request's place; smaller goes first. Equal keys go by arrival."""
        ...
