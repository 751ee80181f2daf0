"""The engine's answers as the guard passes them on: counted, stripped, and ended clearly when it dies.

A stream is passed on from its first token, not before: until then the request can still be moved
to another instance, and the first byte that a client sees is the first token.
"""

import time
from typing import Protocol

import aiohttp

from presage_router import headers
from presage_router.errors import error_event
from presage_router.guard.ledger import Admitted
from presage_router.silence import PatientReader
from presage_router.sse import StreamMeter, answer_usage
from presage_router.summary import Summary

_DIED = "the engine broke off this answer"
_SILENT = "the engine fell silent in the middle of this answer"


class Door(Protocol):
    """What an answer tells its guard."""

    def tokens_seen(self, admitted: Admitted, tokens: int, now: float) -> None:
        """Note that so many tokens are out by now."""
        ...

    def finished(self, admitted: Admitted, tokens: int, prompt_tokens: int | None) -> None:
        """Note that the answer is complete."""
        ...

    def abandoned(self, admitted: Admitted) -> None:
        """Note that the answer ended otherwise."""
        ...


class StreamedAnswer:
    """A stream of events from the engine (see `answers.Answer`)."""

    def __init__(
        self,
        door: Door,
        admitted: Admitted,
        response: aiohttp.ClientResponse,
        meter: StreamMeter,
        idle_seconds: float,
    ) -> None:
        self._door = door
        self._admitted = admitted
        self._response = response
        self._meter = meter
        self._reader = PatientReader(response, idle_seconds)
        self._first = b""
        self._over = False
        self.status = response.status
        self.headers = headers.from_upstream(response.headers.items(), trusted=False)
        self.died = False
        self.summary: Summary | None = None

    async def reach_first_token(self) -> None:
        """Read on until the first token or the end. Raises aiohttp.ClientError when the engine breaks off."""
        held: list[bytes] = []
        while not self._meter.tokens and not self._meter.failed:
            chunk = await self._response.content.readany()
            if not chunk:
                if not self._meter.complete:
                    raise aiohttp.ServerDisconnectedError
                self._first = b"".join(held)
                return
            held.append(self._meter.feed(chunk))
        self._count()
        self._first = b"".join(held)

    async def read(self) -> bytes:
        """Return the next piece; empty at the end."""
        if self._first:
            piece, self._first = self._first, b""
            return piece
        while not self._over:
            piece = await self._next()
            if piece:
                return piece
        return b""

    async def _next(self) -> bytes:
        try:
            chunk = await self._reader.read()
        except TimeoutError:
            return self._die(_SILENT)
        except (aiohttp.ClientError, OSError):
            return self._die(_DIED)
        if chunk:
            piece = self._meter.feed(chunk)
            self._count()
            return piece
        if not self._meter.complete:
            return self._die(_DIED)
        self._end()
        return b""

    def _count(self) -> None:
        self._door.tokens_seen(self._admitted, self._meter.tokens, time.monotonic())

    def _end(self) -> None:
        self._over = True
        self._reader.stop()
        self.summary = Summary(self._meter.tokens, self._meter.prompt_tokens)
        self.died = self._meter.failed
        if self.died:
            self._door.abandoned(self._admitted)
        else:
            self._door.finished(self._admitted, self._meter.tokens, self._meter.prompt_tokens)
        self._response.release()

    def _die(self, message: str) -> bytes:
        if self._meter.done:  # all was said: how the connection ends does not matter
            self._end()
            return b""
        self._over = self.died = True
        self._reader.stop()
        self._door.abandoned(self._admitted)
        self._response.close()
        return error_event(message, "upstream-failed")

    def close(self) -> None:
        """Abort an answer that has not ended: the engine sees the connection close and frees its KV."""
        if not self._over:
            self._over = True
            self._reader.stop()
            self._door.abandoned(self._admitted)
            self._response.close()


class WholeAnswer:
    """An answer that came in one piece: one that does not stream, or an engine's refusal."""

    def __init__(self, door: Door, admitted: Admitted, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = headers.from_upstream(response.headers.items(), trusted=False)
        self.died = False
        self.summary: Summary | None = None
        self._body = body
        response.release()
        output, prompt = answer_usage(body) if response.ok else (None, None)
        if output is None:
            door.abandoned(admitted)
            return
        self.summary = Summary(output, prompt)
        self.headers[headers.OUTPUT_TOKENS] = str(output)
        if prompt is not None:
            self.headers[headers.PROMPT_TOKENS] = str(prompt)
        door.finished(admitted, output, prompt)

    async def read(self) -> bytes:
        """Return the body, then the end."""
        piece, self._body = self._body, b""
        return piece

    def close(self) -> None:
        """Nothing is held."""
