"""Finds a request its place: the best bid with room, else the queue; elsewhere when a peer fails.

Nothing has reached the client while this runs, so everything may still be tried again.
"""

import asyncio
import itertools
import time

import numpy as np
import structlog
from presage_policies.routing import PICKS, Bid, Pick, PickState, PrefixIndex

from presage_router.answers import Answer, UnavailableError
from presage_router.config import RouterConfig
from presage_router.errors import Reason, Refusal
from presage_router.front.queue import FrontQueue, Place
from presage_router.front.reach import Reach
from presage_router.front.trace import Trace
from presage_router.jobs import Job
from presage_router.metrics import Metrics
from presage_router.wire import BidRequest

_log = structlog.get_logger("presage.router")
_MOST_FAILURES = 3
_SECOND_ROUND = 32  # so many are asked when none of the first few answers
_REFUSED_PAUSE_SECONDS = 0.02  # a guard that pulled and then has no room: do not chase it


class Placing:
    """Places requests by one pick policy."""

    def __init__(
        self,
        config: RouterConfig,
        reach: Reach,
        queue: FrontQueue,
        metrics: Metrics,
        rng: np.random.Generator,
    ) -> None:
        self._reach = reach
        self._queue = queue
        self._metrics = metrics
        self._rng = rng
        self._prefixes = PrefixIndex()
        self._keys = itertools.count()
        self._pick: Pick = PICKS[config.policy](config.bids)
        self._picked = (config.policy, config.bids)

    @property
    def policy(self) -> str:
        """The pick policy's name."""
        return self._pick.name

    def reconfigure(self, config: RouterConfig) -> None:
        """Take over another policy; one that did not change keeps its state."""
        if (config.policy, config.bids) != self._picked:
            self._pick = PICKS[config.policy](config.bids)
            self._picked = (config.policy, config.bids)

    async def place(self, job: Job, trace: Trace) -> Answer:
        """Return the answer of the instance that took the request. Raises Refusal when none does."""
        key = str(next(self._keys))
        try:
            return await self._place(key, job, trace)
        finally:
            self._queue.settled(key)

    async def _place(self, key: str, job: Job, trace: Trace) -> Answer:
        avoid: set[str] = set()
        bids = await self._bids(job, trace, avoid) if not len(self._queue) else {}
        while True:
            place = self._best(bids, job) or await self._wait(key, job, trace)
            trace.attempts += 1
            trace.peer = place.peer
            try:
                answer = await self._reach.forward(place, job)
            except Refusal as refusal:
                if refusal.reason != "no-room":
                    raise
                bids.pop(place.peer, None)
                if place.reservation is not None:
                    await asyncio.sleep(_REFUSED_PAUSE_SECONDS)
            except UnavailableError as error:
                avoid.add(place.peer)
                if len(avoid) >= _MOST_FAILURES:
                    raise Refusal(
                        "upstream-failed", f"{len(avoid)} instances failed, at last: {error}"
                    ) from error
                bids.pop(place.peer, None)
                bids = bids or await self._elsewhere(job, trace, avoid, error)
                self._metrics.retries.inc()
            else:
                self._prefixes.record(job.prefix, place.peer)
                return answer

    async def _elsewhere(
        self, job: Job, trace: Trace, avoid: set[str], error: UnavailableError
    ) -> dict[str, Bid]:
        """Ask others after a failure. Raises Refusal telling the failure when there are none."""
        try:
            return await self._bids(job, trace, avoid)
        except Refusal:
            reason: Reason = "upstream-failed" if error.reason == "upstream-failed" else "no-endpoints"
            raise Refusal(reason, f"{error}, and there is no other instance") from error

    def _best(self, bids: dict[str, Bid], job: Job) -> Place | None:
        if not any(bid.room for bid in bids.values()):
            return None
        owner, _ = self._prefixes.owner(job.prefix)
        return Place(self._pick.choose(bids, PickState(self._reach.self_id, owner)))

    async def _wait(self, key: str, job: Job, trace: Trace) -> Place:
        began = time.monotonic()
        try:
            return await self._queue.wait(key, job)
        except Refusal as refusal:
            if refusal.reason == "queue-timeout" and not self._reach.candidates():
                raise Refusal("no-endpoints", "no instance became ready in time") from refusal
            raise
        finally:
            trace.queued_seconds += time.monotonic() - began

    async def _bids(self, job: Job, trace: Trace, avoid: set[str]) -> dict[str, Bid]:
        """Ask a few; if none answers, others. Raises Refusal when there is nobody to serve."""
        ids = [peer for peer in self._reach.candidates() if peer not in avoid]
        if avoid and not ids:  # whoever is suspect may still be better than who has just failed
            ids = [peer for peer in self._reach.all_others() if peer not in avoid]
        owner, _ = self._prefixes.owner(job.prefix)
        asked = self._pick.sample(ids, self._reach.self_id, owner, self._rng)
        request = BidRequest(
            job.request_id,
            job.prompt_tokens,
            job.length,
            job.prefix,
            len(job.asked.prompt),
            self._reach.self_id,
        )
        bids, late = await self._reach.bids(asked, request)
        rest = [peer for peer in ids if peer not in asked][:_SECOND_ROUND]
        if not bids and not late and rest:
            bids, late = await self._reach.bids(rest, request)
        if not bids and not late:
            if self._reach.draining:
                raise Refusal("draining", "this instance is draining and no other is ready")
            raise Refusal("no-endpoints", "no instance is ready")
        trace.bids |= bids
        return bids
