"""One sidecar: guard and front wired together behind two listeners, from start to drained exit."""

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import structlog
from aiohttp import web
from presage_policies.engine import EngineProfile

from presage_router.addresses import join_address
from presage_router.config import RouterConfig
from presage_router.drain import Drain
from presage_router.errors import Refusal
from presage_router.front.front import Front
from presage_router.front.lengths import Predictors, SafePredictor
from presage_router.front.offers import Offers
from presage_router.front.placing import Placing
from presage_router.front.queue import FrontQueue
from presage_router.front.reach import Reach
from presage_router.guard.api import GuardApi, json_response, message
from presage_router.guard.guard import Guard
from presage_router.guard.puller import Puller
from presage_router.live_config import LiveConfig
from presage_router.metrics import CONTENT_TYPE, Metrics
from presage_router.peers.client import PeerClient
from presage_router.peers.endpointslices import ApiServer, EndpointSlicePeers
from presage_router.peers.static_file import StaticPeers
from presage_router.peers.table import Peer, PeerTable
from presage_router.wire import TAKE_PATH, Take, Taken

_log = structlog.get_logger("presage.router")
_ENGINE_KEEPALIVE_SECONDS = 4.0  # engines close idle connections after five: be first
_PEER_KEEPALIVE_SECONDS = 30.0
_LISTENER_KEEPALIVE_SECONDS = 75.0
_BACKLOG = 1024
_LARGEST_FIELD = 65536


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The Service whose EndpointSlices list the peers."""

    api: ApiServer
    namespace: str
    service: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: listeners as (host, port), the engine's URL, the host that peers know, the peers."""

    engine: str
    front: tuple[str, int]
    peer: tuple[str, int]
    advertise: str
    peers_file: Path | None = None
    endpoints: Endpoints | None = None


class Sidecar:
    """Starts, serves, drains, stops. `seed` makes its random choices repeatable (None: from the system)."""

    def __init__(
        self,
        places: Places,
        live: LiveConfig,
        predictors: Predictors,
        seed: int | None = None,
    ) -> None:
        self._places = places
        self._live = live
        self._predictors = predictors
        self._rng = np.random.default_rng(seed)
        self.metrics = Metrics(live.config.service, live.config.namespace)
        self.table = PeerTable(join_address(places.advertise, places.peer[1]))
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Open the listeners and begin to follow engine, peers and configuration."""
        config, profile = self._live.config, self._live.profile
        self._build(config, profile)
        self._watch_gauges()
        await self._find_peers()
        for work in (
            self.guard.engine.run(),
            self.puller.run(),
            self._offers.run(),
            self._live.run(self._apply, self.metrics.config_failures.inc),
        ):
            self._spawn(work)
        await self._listen(self._peer_app(), self._places.peer)
        await self._listen(self._front_app(), self._places.front)
        _log.info(
            "sidecar serves", front=self._places.front, peer=self._places.peer, engine=self._places.engine
        )

    async def stop(self) -> None:
        """Close everything at once; drain first to lose nobody."""
        await self._stack.aclose()

    async def drain(self) -> bool:
        """Take nothing new and wait until all has ended; False when the time-out came first."""
        return await self._drain.run(self._live.config.timeouts)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain and stop; a second signal stops at once."""
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        try:
            await self.start()
            await asked.wait()
            asked.clear()
            again = asyncio.ensure_future(asked.wait())
            drained = asyncio.ensure_future(self.drain())
            await asyncio.wait((again, drained), return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
            drained.cancel()
        finally:
            await self.stop()

    def _build(self, config: RouterConfig, profile: EngineProfile) -> None:
        self_id = self.table.self_id
        client = PeerClient(self._session(_PEER_KEEPALIVE_SECONDS))
        engine_session = self._session(_ENGINE_KEEPALIVE_SECONDS)
        self.guard = Guard(config, profile, engine_session, self._places.engine, self.metrics)

        async def take_from(front: str, take: Take) -> Taken:
            return self.queue.take(take) if front == self_id else await client.take(front, take)

        self.puller = Puller(self.guard, self_id, take_from)
        self.guard.room_gained = self.puller.room_gained
        self.guard.others_first = self.puller.others_first
        self._guard_api = GuardApi(self.guard, self.puller)
        reach = Reach(config, self.table, self.guard, self.puller, client, self.metrics)
        self._offers = Offers(reach, self._rng)
        self.queue = FrontQueue(config.queue, config.objectives.objectives(), self._offers.begin)
        self._offers.queue = self.queue
        self.table.on_new(self._offers.greet)
        placing = Placing(config, reach, self.queue, self.metrics, self._rng)
        predictor = SafePredictor(self._predictors, self.metrics)
        self._stack.callback(predictor.close)
        self.front = Front(config, self.guard, reach, self.queue, placing, predictor, self.metrics)
        self._drain = Drain(self._begin_drain, self._busy)

    def _session(self, keepalive_seconds: float) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=keepalive_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            skip_auto_headers=("User-Agent",),
            auto_decompress=False,
            max_line_size=_LARGEST_FIELD,
            max_field_size=_LARGEST_FIELD,
        )
        self._stack.push_async_callback(session.close)
        return session

    def _watch_gauges(self) -> None:
        guard, ledger, table = self.guard, self.guard.ledger, self.table
        watch = self.metrics.watch
        watch("waiting_requests", "Requests that wait at this front for room.", lambda: len(self.queue))
        watch("relays", "Requests under way at this front.", lambda: self.front.relays)
        watch("inflight_requests", "Requests in this guard's engine.", lambda: len(ledger))
        watch(
            "anticipated_overload",
            "Share of the next 100 iterations with KV use above 0.95.",
            ledger.overload,
        )
        watch("anticipated_peak", "Largest projected share of the KV cache.", ledger.peak)
        watch("kv_usage", "Share of this engine's KV cache in use.", lambda: ledger.kv_usage)
        watch("engine_ready", "Whether this guard's engine is ready.", lambda: float(guard.engine.ready))
        watch("peers", "Other sidecars that discovery knows.", lambda: len(table.others))
        watch("peers_aside", "Peers put aside after failures.", lambda: table.aside_count(time.monotonic()))
        watch(
            "peers_age_seconds",
            "Time since discovery last knew for sure.",
            lambda: table.age(time.monotonic()),
        )

    async def _find_peers(self) -> None:
        places = self._places
        if places.peers_file is not None:
            static = StaticPeers(places.peers_file, self.table)
            static.load()
            self._spawn(static.run())
        elif places.endpoints is not None:
            wanted = places.endpoints
            slices = EndpointSlicePeers(
                wanted.api, wanted.namespace, wanted.service, places.peer[1], self.table
            )
            self._spawn(slices.run())
        else:
            own = Peer(join_address(places.advertise, places.front[1]), self.table.self_id)
            self.table.update([own], time.monotonic())

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self._stack.push_async_callback(end)

    async def _listen(self, app: web.Application, address: tuple[str, int]) -> None:
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=_LISTENER_KEEPALIVE_SECONDS,
            shutdown_timeout=0.5,
            max_line_size=_LARGEST_FIELD,
            max_field_size=_LARGEST_FIELD,
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, *address, backlog=_BACKLOG).start()

    def _front_app(self) -> web.Application:
        app = web.Application()
        app.add_routes(self.front.routes())
        return app

    def _peer_app(self) -> web.Application:
        app = web.Application()
        app.add_routes(self._guard_api.routes())
        app.add_routes(
            [
                web.post(TAKE_PATH, self._take),
                web.get("/metrics", self._metrics_page),
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/drain", self._drain_page),
                web.post("/drain", self._drain_page),
            ]
        )
        return app

    async def _take(self, request: web.Request) -> web.Response:
        try:
            take = Take.from_wire(await message(request))
        except Refusal as refusal:
            return refusal.response()
        return json_response(self.queue.take(take).as_wire())

    async def _metrics_page(self, _: web.Request) -> web.Response:
        return web.Response(body=self.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self.guard.draining:
            return web.Response(status=503, text="draining\n")
        if not self.guard.engine.ready:
            return web.Response(status=503, text="engine not ready\n")
        return web.Response(text="ok\n")

    async def _drain_page(self, _: web.Request) -> web.Response:
        done = await self.drain()
        return web.Response(text="drained\n" if done else "drain time-out: requests are still under way\n")

    def _begin_drain(self) -> None:
        self.guard.draining = True

    def _busy(self) -> int:
        return self.front.relays + self._guard_api.relays + len(self.guard.ledger)

    def _apply(self, config: RouterConfig, profile: EngineProfile) -> None:
        self.guard.reconfigure(config, profile)
        self.front.reconfigure(config)
