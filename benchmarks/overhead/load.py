"""The clients: 64 connections as fast as they can, and streams at fixed instants.

Written on asyncio's protocols because the load shares two cores with what it measures: a client
library would cost more than the routers do. uvloop's clock has milliseconds, so times are perf_counter's.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter
from typing import TYPE_CHECKING, cast

from benchmarks.overhead.upstream import EVENTS, MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_SECONDS = 10
SETTLE_SECONDS = 5
PROMPTS = 4096  # different ones, taken in turn: no prediction can be kept for the next request
WARM_CONNECTIONS = 256  # for streams: more than are ever open at once unless a router stalls


@dataclass
class Counts:
    """What came back: seconds per request (to its end, or for streams to the first event) and failures."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    elapsed: float = 0.0


def request_bytes(host: str, *, stream: bool, turn: int, characters: int) -> bytes:
    """Give one whole HTTP request; requests of `PROMPTS` turns on end differ, all of one size.

    A prompt shorter than `characters` is filled up with words that differ from turn to turn.
    """
    prompt = f"Tell me in a few words what sidecar {turn:04d} is, please."
    word = turn
    while len(prompt) < characters:
        word = (word * 31 + 7) % 9973
        prompt += f" and word{word}s,"
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": EVENTS,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    payload = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request in flight."""

    def __init__(self) -> None:
        self._done: Callable[[Connection, bool], None] | None = None
        self.transport: asyncio.Transport | None = None
        self.sent = 0.0
        self.first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a request in flight as failed."""
        del exc
        self.transport = None
        self._finish(ok=False)

    def send(self, request: bytes, done: Callable[[Connection, bool], None]) -> None:
        """Send a request; `done(connection, ok)` is called at its end."""
        assert self.transport is not None
        self._done = done
        self._head = b""
        self._left = -1  # bytes of the body to come; -1: the head is not complete, -2: chunked
        self._tail = b""
        self.first = 0.0
        self.sent = perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Follow the answer to its end; note when the first event came."""
        if self._left == -1:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data = self._head[end + 4 :]
            self._read_head(self._head[: end + 2].lower())
        if not self.first and b"data:" in data:
            self.first = perf_counter()
        if self._left == -2:
            self._tail = (self._tail + data)[-5:]
            if self._tail == b"0\r\n\r\n":
                self._finish(ok=self._ok)
            return
        self._left -= len(data)
        if self._left <= 0:
            self._finish(ok=self._ok)

    def _read_head(self, head: bytes) -> None:
        self._ok = head.startswith(b"http/1.1 200")
        at = head.find(b"\r\ncontent-length:")
        self._left = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else -2

    def _finish(self, *, ok: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(self, ok)


async def _connect(host: str, port: int, count: int) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = (loop.create_connection(Connection, host, port) for _ in range(count))
    async with asyncio.timeout(CONNECT_SECONDS):
        return [protocol for _, protocol in await asyncio.gather(*made)]


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        if connection.transport is not None:
            connection.transport.close()


def _requests(host: str, *, stream: bool, characters: int) -> list[bytes]:
    return [request_bytes(host, stream=stream, turn=turn, characters=characters) for turn in range(PROMPTS)]


async def saturate(host: str, port: int, connections: int, seconds: float, characters: int) -> Counts:
    """Send unstreamed requests over so many connections, each its next when the last has ended."""
    pool = await _connect(host, port, connections)
    requests = cycle(_requests(host, stream=False, characters=characters))
    counts = Counts()
    began = perf_counter()
    stop = began + seconds
    busy = set(pool)
    idle = asyncio.Event()

    def done(connection: Connection, ok: bool) -> None:
        now = perf_counter()
        if now <= stop:
            counts.elapsed = now - began
            counts.seconds.append(now - connection.sent)
            counts.failed += not ok
        if now < stop and connection.transport is not None:
            connection.send(next(requests), done)
            return
        busy.discard(connection)
        if not busy:
            idle.set()

    for connection in pool:
        connection.send(next(requests), done)
    async with asyncio.timeout(seconds + SETTLE_SECONDS):
        await idle.wait()
    _close(pool)
    return counts


async def pace(host: str, port: int, per_second: float, seconds: float, characters: int) -> Counts:
    """Open streams at fixed instants over warm connections; measure the time to their first events."""
    pool = await _connect(host, port, WARM_CONNECTIONS)
    free = list(pool)
    requests = cycle(_requests(host, stream=True, characters=characters))
    counts = Counts()
    running = 0

    def done(connection: Connection, ok: bool) -> None:
        nonlocal running
        running -= 1
        counts.failed += not (ok and connection.first)
        if connection.first:
            counts.seconds.append(connection.first - connection.sent)
        if connection.transport is not None:
            free.append(connection)

    began = perf_counter()
    for index in range(round(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + index / per_second - perf_counter()))
        if not free:
            counts.failed += 1
            continue
        running += 1
        free.pop(0).send(next(requests), done)
    async with asyncio.timeout(SETTLE_SECONDS):
        while running:  # noqa: ASYNC110 - a poll outside of what is measured
            await asyncio.sleep(0.01)
    counts.elapsed = perf_counter() - began
    _close(pool)
    return counts
