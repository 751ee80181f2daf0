"""Speaks to other sidecars over HTTP: bids, forwards, offers, takes."""

import asyncio
import json
from typing import Any

import aiohttp
from presage_policies.routing import Bid

from presage_router import headers
from presage_router.answers import Answer, UnavailableError
from presage_router.config import TimeoutsConfig
from presage_router.errors import Refusal, error_event
from presage_router.headers import Headers
from presage_router.jobs import Job
from presage_router.silence import PatientReader
from presage_router.summary import Summary, SummaryFilter
from presage_router.wire import (
    BID_PATH,
    FORWARD_PREFIX,
    TAKE_PATH,
    WAITING_PATH,
    BidRequest,
    Take,
    Taken,
    WaitingNote,
)

_MOVABLE = ("draining", "engine-not-ready", "upstream-failed")
_MESSAGE_SECONDS = 1.0
_JSON = {"Content-Type": "application/json"}
_DIED = "the instance that served this answer broke off"
_SILENT = "the instance that served this answer fell silent"
_GRACE_SECONDS = 5.0  # the guard's own time-outs fire first and say more


class PeerClient:
    """One sidecar's way to all others. Raises aiohttp.ClientError, OSError or TimeoutError on failures."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def bid(self, peer: str, request: BidRequest, timeout_seconds: float) -> Bid:
        """Ask for a bid. Raises UnavailableError when the peer wants nothing new, ValueError on nonsense."""
        document = await self._post(peer, BID_PATH, request.as_wire(), timeout_seconds)
        return Bid.from_wire(document["bid"])

    async def tell_waiting(self, peer: str, note: WaitingNote) -> None:
        """Tell a guard that requests wait here."""
        wire = {"front": note.front, "count": note.count, "oldest": round(note.oldest, 3)}
        await self._post(peer, WAITING_PATH, wire, _MESSAGE_SECONDS)

    async def take(self, peer: str, take: Take) -> Taken:
        """Take waiting requests from a front."""
        return Taken.from_wire(await self._post(peer, TAKE_PATH, take.as_wire(), _MESSAGE_SECONDS))

    async def _post(
        self, peer: str, path: str, message: dict[str, Any], timeout_seconds: float
    ) -> dict[str, Any]:
        body = json.dumps(message, separators=(",", ":")).encode()
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        url = f"http://{peer}{path}"
        async with self._session.post(url, data=body, headers=_JSON, timeout=timeout) as response:
            content = await response.read()
        if response.status == 503:  # noqa: PLR2004 - HTTP's number
            raise UnavailableError("engine-not-ready", f"{peer} wants nothing new", certain=True)
        if response.status >= 300:  # noqa: PLR2004 - HTTP's number
            raise ValueError(f"{peer} answered {response.status} to {path}")
        document = json.loads(content) if content else {}
        if not isinstance(document, dict):
            raise ValueError(f"{peer} answered {path} with no JSON object")  # noqa: TRY004 - bad data, not a bad program
        return document

    async def forward(
        self, peer: str, job: Job, waited: float, reservation: str | None, timeouts: TimeoutsConfig
    ) -> Answer:
        """Forward a request to a guard and return its answer when the first byte is there.

        Raises UnavailableError when another peer should try, Refusal when none should or there is no room.
        """
        limit = timeouts.first_byte_seconds if job.asked.stream else timeouts.answer_seconds
        try:
            async with asyncio.timeout(limit + _GRACE_SECONDS):
                response = await self._session.post(
                    f"http://{peer}{FORWARD_PREFIX}{job.path}",
                    data=job.body,
                    headers=_wire_headers(job, waited, reservation),
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_seconds),
                )
                return await _first_byte(response, timeouts.idle_seconds + _GRACE_SECONDS)
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError("upstream-failed", f"{peer} refuses connections", certain=True) from error
        except aiohttp.ServerTimeoutError as error:
            raise UnavailableError("upstream-failed", f"{peer} accepts no connection in time") from error
        except TimeoutError:
            raise Refusal("upstream-timeout", f"no token came within {limit:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError("upstream-failed", f"{peer} broke off: {type(error).__name__}") from error

    async def models(self, peer: str, timeouts: TimeoutsConfig) -> tuple[int, bytes, str]:
        """Return status, body and content type of a peer's `/v1/models`."""
        timeout = aiohttp.ClientTimeout(total=timeouts.connect_seconds + _MESSAGE_SECONDS)
        url = f"http://{peer}{FORWARD_PREFIX}/v1/models"
        async with self._session.get(url, timeout=timeout) as response:
            return response.status, await response.read(), response.content_type


def _wire_headers(job: Job, waited: float, reservation: str | None) -> Headers:
    sent = job.headers.copy()
    sent[headers.PEER_REQUEST_ID] = job.request_id
    sent[headers.LENGTH] = ",".join(f"{tokens:g}" for tokens in job.length.as_wire())
    sent[headers.PROMPT_TOKENS] = str(job.prompt_tokens)
    sent[headers.WAITED] = f"{waited:.6f}"
    if reservation is not None:
        sent[headers.RESERVATION] = reservation
    return sent


async def _first_byte(response: aiohttp.ClientResponse, idle_seconds: float) -> Answer:
    reason = response.headers.get(headers.REASON)
    try:
        first = await response.content.readany()
    except BaseException:
        response.close()
        raise
    if reason is not None:
        response.release()
        raise _refused(reason)
    return RemoteAnswer(response, first, idle_seconds)


def _refused(reason: str) -> Exception:
    if reason in _MOVABLE:
        return UnavailableError(
            "upstream-failed", f"the instance answered {reason}", certain=reason != "upstream-failed"
        )
    if reason == "no-room":
        return Refusal("no-room", "the instance had no room")
    if reason == "upstream-timeout":
        return Refusal("upstream-timeout", "the engine gave no token in time")
    if reason == "body-too-large":
        return Refusal("body-too-large", "the request body is larger than the instance allows")
    return UnavailableError("upstream-failed", f"the instance refused: {reason}")


class RemoteAnswer:
    """A peer's answer (see `answers.Answer`), passed on as it comes but for the closing summary."""

    def __init__(self, response: aiohttp.ClientResponse, first: bytes, idle_seconds: float) -> None:
        self._response = response
        self._reader = PatientReader(response, idle_seconds)
        self._streams = response.content_type == "text/event-stream"
        self._filter = SummaryFilter()
        self._first = first
        self._over = not first
        self.status = response.status
        self.headers = headers.from_upstream(response.headers.items(), trusted=True)
        self.died = False
        self.summary: Summary | None = _summary_of(response)

    async def read(self) -> bytes:
        """Return the next piece; empty at the end."""
        while self._first or not self._over:
            chunk, self._first = self._first, b""
            piece = await self._next(chunk)
            if piece:
                return piece
        return b""

    async def _next(self, chunk: bytes) -> bytes:
        if not chunk:
            try:
                chunk = await self._reader.read()
            except TimeoutError:
                return self._die(_SILENT)
            except (aiohttp.ClientError, OSError):
                return self._die(_DIED)
        if not self._streams:
            if not chunk:
                self._over = True
                self._reader.stop()
            return chunk
        return self._filter.feed(chunk) if chunk else self._end()

    def _end(self) -> bytes:
        self._over = True
        self._reader.stop()
        self._response.release()
        rest, self.summary = self._filter.finish()
        self.died = self.summary is None
        return rest

    def _die(self, message: str) -> bytes:
        rest, self.summary = self._filter.finish()
        self._over = True
        self._reader.stop()
        self._response.close()
        self.died = self.summary is None
        if not self.died:
            return rest
        # The peer may have been cut off within an event: an empty line ends that one first.
        return b"\n\n" + error_event(message, "upstream-failed") if self._streams else b""

    def close(self) -> None:
        """Abort an answer that has not ended: the guard sees the connection close and aborts in turn."""
        if not self._over:
            self._over = True
            self._reader.stop()
            self._response.close()


def _summary_of(response: aiohttp.ClientResponse) -> Summary | None:
    output, prompt = response.headers.get(headers.OUTPUT_TOKENS), response.headers.get(headers.PROMPT_TOKENS)
    if output is None or not output.isdigit():
        return None
    return Summary(int(output), int(prompt) if prompt is not None and prompt.isdigit() else None)
