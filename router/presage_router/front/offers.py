"""Tells guards, again and again, that requests wait at this front.

At once when the first begins to wait and when a new guard appears; every quarter of a second after, so
that a lost message or a restarted guard delays a request and never strands it.
"""

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from presage_router.front.reach import Reach
from presage_router.peers.table import Peer
from presage_router.wire import WaitingNote

if TYPE_CHECKING:
    from presage_router.front.queue import FrontQueue

OFFER_SECONDS = 0.25


class Offers:
    """Offers the waiting requests of one front to guards."""

    def __init__(self, reach: Reach, rng: np.random.Generator) -> None:
        self._reach = reach
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()
        self.queue: FrontQueue | None = None

    def begin(self) -> None:
        """Offer at once: the first request has begun to wait."""
        self._offer(self._shuffled())

    def greet(self, fresh: list[Peer]) -> None:
        """Offer to guards that have just appeared."""
        if self.queue is not None and len(self.queue):
            self._offer([peer.id for peer in fresh])

    async def run(self) -> None:
        """Offer again until cancelled."""
        while True:
            await asyncio.sleep(OFFER_SECONDS)
            if self.queue is not None and len(self.queue):
                self._offer(self._shuffled())

    def _shuffled(self) -> list[str]:
        others = self._reach.all_others()
        return [others[i] for i in self._rng.permutation(len(others))]

    def _offer(self, peers: list[str]) -> None:
        if self.queue is None:
            return
        note = WaitingNote(self._reach.self_id, len(self.queue), self.queue.oldest_seconds)
        self._reach.offer(note, peers, self._tasks)
