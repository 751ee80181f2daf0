"""What other sidecars may ask of this guard: the peer listener's `/presage/v1/…` routes."""

import json
import time
from typing import Any

import aiohttp
from aiohttp import web
from presage_policies.lengths import LengthDistribution
from presage_policies.routing import prefix_blocks

from presage_router import headers
from presage_router.answers import Answer, UnavailableError
from presage_router.asked import read_body, understand
from presage_router.bodies import bounded_body
from presage_router.errors import Refusal
from presage_router.guard.guard import Guard
from presage_router.guard.puller import Puller
from presage_router.jobs import Job
from presage_router.relay import relay
from presage_router.wire import BID_PATH, FORWARD_PREFIX, WAITING_PATH, BidRequest, WaitingNote

_BODY_IDLE_SECONDS = 10.0
_LARGEST_MESSAGE = 65536


class GuardApi:
    """HTTP handlers in front of one guard."""

    def __init__(self, guard: Guard, puller: Puller) -> None:
        self._guard = guard
        self._puller = puller
        self.relays = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for the peer listener."""
        return [
            web.post(BID_PATH, self.bid),
            web.post(WAITING_PATH, self.waiting),
            web.get(f"{FORWARD_PREFIX}/v1/models", self.models),
            web.post(f"{FORWARD_PREFIX}/v1/chat/completions", self.forward),
            web.post(f"{FORWARD_PREFIX}/v1/completions", self.forward),
        ]

    async def bid(self, request: web.Request) -> web.Response:
        """Answer with a bid; 503 while nothing new is wanted here."""
        try:
            asked = BidRequest.from_wire(await message(request))
            self._guard.check_open()
        except Refusal as refusal:
            return refusal.response()
        except UnavailableError as error:
            return unavailable(error)
        bid = self._guard.bid(asked.prompt_tokens, asked.length, asked.prefix, asked.characters)
        return json_response({"bid": bid.as_wire()})

    async def waiting(self, request: web.Request) -> web.Response:
        """Take in that requests wait at a front."""
        try:
            self._puller.note(WaitingNote.from_wire(await message(request)))
        except Refusal as refusal:
            return refusal.response()
        return web.Response(status=204)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Serve a front's request on this guard's engine."""
        try:
            job, waited = await self._job(request)
            answer = await self._guard.serve(job, waited, request.headers.get(headers.RESERVATION))
        except Refusal as refusal:
            return refusal.response()
        except UnavailableError as error:
            return unavailable(error)
        self.relays += 1
        try:
            return await relay(request, answer, answer.headers, _closing)
        finally:
            self.relays -= 1
            answer.close()

    async def models(self, _: web.Request) -> web.Response:
        """Pass on the engine's list of models."""
        try:
            self._guard.check_open()
            status, body, kind = await engine_models(self._guard)
        except UnavailableError as error:
            return unavailable(error)
        return web.Response(status=status, body=body, content_type=kind)

    async def _job(self, request: web.Request) -> tuple[Job, float]:
        arrived = time.monotonic()
        body = await bounded_body(request, self._guard.config.max_body_bytes, _BODY_IDLE_SECONDS)
        asked = understand(read_body(body))
        try:
            length = LengthDistribution.from_wire(
                [float(t) for t in request.headers[headers.LENGTH].split(",")]
            )
            prompt_tokens = int(request.headers[headers.PROMPT_TOKENS])
            waited = max(0.0, float(request.headers.get(headers.WAITED, "0")))
        except (KeyError, ValueError) as error:
            raise Refusal("bad-request", f"a forward's header is missing or malformed: {error!r}") from None
        job = Job(
            request_id=request.headers.get(headers.PEER_REQUEST_ID, ""),
            path=request.path.removeprefix(FORWARD_PREFIX),
            body=body,
            headers=headers.onward(request.headers),
            client=asked.user,
            asked=asked,
            prompt_tokens=prompt_tokens,
            length=length,
            prefix=prefix_blocks(asked.prompt),
            arrived=arrived - waited,
        )
        return job, waited


async def engine_models(guard: Guard) -> tuple[int, bytes, str]:
    """Ask the engine for its models: status, body, content type. Raises UnavailableError."""
    timeout = aiohttp.ClientTimeout(total=5)
    try:
        async with guard.engine.session.get(f"{guard.engine.url}/v1/models", timeout=timeout) as response:
            return response.status, await response.read(), response.content_type
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(
            "engine-not-ready", f"the engine lists no models: {type(error).__name__}"
        ) from error


async def message(request: web.Request) -> dict[str, Any]:
    """Read a JSON object. Raises Refusal (400)."""
    return read_body(await bounded_body(request, _LARGEST_MESSAGE, _BODY_IDLE_SECONDS))


def json_response(document: dict[str, Any]) -> web.Response:
    """Return a compact JSON answer."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return web.Response(body=body, content_type="application/json")


def unavailable(error: UnavailableError) -> web.Response:
    """Return the answer that sends a front to another peer."""
    return Refusal(error.reason, str(error)).response()


def _closing(answer: Answer) -> bytes:
    """Return the summary that ends a stream between sidecars."""
    return b"" if answer.died or answer.summary is None else answer.summary.as_comment()
