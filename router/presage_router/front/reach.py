"""A front's reach: its own guard by a call, all other guards over the wire, both alike."""

import asyncio
import time
from collections.abc import Sequence

import aiohttp
import structlog
from presage_policies.routing import Bid

from presage_router.answers import Answer, UnavailableError
from presage_router.config import RouterConfig
from presage_router.front.queue import Place
from presage_router.guard.guard import Guard
from presage_router.guard.puller import Puller
from presage_router.jobs import Job
from presage_router.metrics import Metrics
from presage_router.peers.client import PeerClient
from presage_router.peers.table import PeerTable
from presage_router.wire import BidRequest, WaitingNote

_log = structlog.get_logger("presage.router")
_MOST_TOLD = 32  # of many guards, random ones hear of waiting requests each time


class Reach:
    """Asks, forwards and offers to guards by id; keeps the standing of peers up to date."""

    def __init__(  # noqa: PLR0917 - its parts, wired once
        self,
        config: RouterConfig,
        table: PeerTable,
        guard: Guard,
        puller: Puller,
        client: PeerClient,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self._table = table
        self._guard = guard
        self._puller = puller
        self._client = client
        self._metrics = metrics

    @property
    def self_id(self) -> str:
        """This sidecar's own id."""
        return self._table.self_id

    @property
    def draining(self) -> bool:
        """Whether this sidecar's own guard drains."""
        return self._guard.draining

    def candidates(self) -> list[str]:
        """Return the ids of all guards that may take a request now; suspects only if nobody else."""
        now = time.monotonic()
        if self._guard.open:
            return [*(peer.id for peer in self._table.standing(now)), self.self_id]
        return [peer.id for peer in self._table.usable(now)]

    def all_others(self) -> list[str]:
        """Return the ids of all other guards, those put aside too."""
        return [peer.id for peer in self._table.others]

    async def bids(self, ids: Sequence[str], request: BidRequest) -> tuple[dict[str, Bid], bool]:
        """Ask all at the same time; return the bids in the order of asking, and whether any came late."""
        found: dict[str, Bid] = {}
        remote = [peer for peer in ids if peer != self.self_id]
        tasks = {peer: asyncio.ensure_future(self._remote_bid(peer, request)) for peer in remote}
        if self.self_id in ids:
            found[self.self_id] = self._guard.bid(
                request.prompt_tokens, request.length, request.prefix, request.characters
            )
            self._metrics.bids["ok"].inc()
        late = False
        try:
            for peer, task in tasks.items():
                bid, missed = await task
                late = late or missed
                if bid is not None:
                    found[peer] = bid
        finally:
            for task in tasks.values():
                task.cancel()
        return {peer: found[peer] for peer in ids if peer in found}, late

    async def _remote_bid(self, peer: str, request: BidRequest) -> tuple[Bid | None, bool]:
        now = time.monotonic()
        try:
            bid = await self._client.bid(peer, request, self.config.bid_milliseconds / 1000)
        except UnavailableError:
            self._metrics.bids["refused"].inc()
            self._table.refused(peer, now)
            return None, False
        except TimeoutError:
            self._metrics.bids["late"].inc()
            self._table.failed(peer, now)
            return None, True
        except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            self._metrics.bids["failed"].inc()
            self._table.failed(peer, now, certain=isinstance(error, aiohttp.ClientConnectorError))
            return None, False
        self._metrics.bids["ok"].inc()
        self._table.succeeded(peer)
        return bid, False

    async def forward(self, place: Place, job: Job) -> Answer:
        """Hand a request to a guard (see `Guard.serve` and `PeerClient.forward` for what they raise)."""
        waited = time.monotonic() - job.arrived
        if place.peer == self.self_id:
            return await self._guard.serve(job, waited, place.reservation)
        try:
            return await self._client.forward(
                place.peer, job, waited, place.reservation, self.config.timeouts
            )
        except UnavailableError as error:
            self._table.failed(place.peer, time.monotonic(), certain=error.certain)
            raise

    def offer(self, note: WaitingNote, peers: Sequence[str], tasks: set[asyncio.Task[None]]) -> None:
        """Tell guards that requests wait here: the own one at once, others in the background."""
        self._puller.note(note)
        for peer in peers[:_MOST_TOLD]:
            task = asyncio.ensure_future(self._tell(peer, note))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _tell(self, peer: str, note: WaitingNote) -> None:
        try:
            await self._client.tell_waiting(peer, note)
        except (aiohttp.ClientError, UnavailableError, TimeoutError, OSError, ValueError) as error:
            _log.debug("offer failed", peer=peer, error=str(error))

    async def models(self) -> tuple[int, bytes, str] | None:
        """Return a ready peer's list of models; None when none answers."""
        for peer in self._table.usable(time.monotonic()):
            try:
                status, body, kind = await self._client.models(peer.id, self.config.timeouts)
            except (aiohttp.ClientError, TimeoutError, OSError):
                continue
            if status == 200:  # noqa: PLR2004 - HTTP's number
                return status, body, kind
        return None
