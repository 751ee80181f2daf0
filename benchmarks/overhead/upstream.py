"""A fake engine that costs next to nothing, so that what is measured is the router and not the engine.

Plain HTTP/1.1 on asyncio (uvloop where installed). A request with `"stream":true` gets its first event
at once, since timers of a millisecond would blur what a router adds, and the others so many milliseconds
apart; any other request gets an answer at once. It is no engine: it has no batch, no room, no lengths.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import cast

MODEL = "bench/model"
EVERY_MILLISECONDS = 10.0
EVENTS = 30

_CHUNK = (
    'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench/model",'
    '"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":%s}],'
    '"usage":{"prompt_tokens":16,"completion_tokens":%d,"total_tokens":%d}}\n\n'
)
_USAGE = '{"prompt_tokens":16,"completion_tokens":%d,"total_tokens":%d}'
_ANSWER = (
    '{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"bench/model","choices":[{"index":0,'
    '"message":{"role":"assistant","content":"a short answer"},"logprobs":null,"finish_reason":"stop"}],'
    '"usage":' + _USAGE % (3, 19) + "}"
).encode()
_MODELS = b'{"object":"list","data":[{"id":"bench/model","object":"model","created":1,"owned_by":"bench"}]}'
_METRICS = b'vllm:cache_config_info{block_size="16",num_gpu_blocks="1000000"} 1.0\n'
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _reply(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (kind, len(body), body)


def _event(index: int) -> bytes:
    last = index == EVENTS
    event = (_CHUNK % ('"stop"' if last else "null", index, 16 + index)).encode()
    if last:
        event += b"data: [DONE]\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


_SHORT = {
    b"/health": _reply(b""),
    b"/v1/models": _reply(_MODELS),
    b"/metrics": _reply(_METRICS, b"text/plain; version=0.0.4"),
}
_REPLY = _reply(_ANSWER)
_MISSING = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_EVENTS = [_event(index) for index in range(1, EVENTS + 1)]


class Upstream(asyncio.Protocol):
    """One connection: requests in turn, each answered whole or as a paced stream."""

    def __init__(self, every_milliseconds: float) -> None:
        self._every = every_milliseconds / 1000
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop a stream whose client is gone."""
        del exc
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._buffer += data
        while (request := self._whole_request()) is not None:
            self._answer(*request)

    def _whole_request(self) -> tuple[bytes, bytes] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._buffer[:end].lower()
        start = end + 4
        if b"\r\ntransfer-encoding: chunked" in head:
            last = self._buffer.find(b"0\r\n\r\n", start)
            if last < 0:
                return None
            stop = last + 5
        else:
            at = head.find(b"\r\ncontent-length:")
            stop = start + (int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0)
            if len(self._buffer) < stop:
                return None
        body, path = self._buffer[start:stop], head.split(b" ", 2)[1]
        self._buffer = self._buffer[stop:]
        return path, body

    def _answer(self, path: bytes, body: bytes) -> None:
        assert self._transport is not None
        if path not in {b"/v1/chat/completions", b"/v1/completions"}:
            self._transport.write(_SHORT.get(path, _MISSING))
        elif b'"stream":true' in body or b'"stream": true' in body:
            self._at = self._loop.time()
            self._send(0)
        else:
            self._transport.write(_REPLY)

    def _send(self, index: int) -> None:
        assert self._transport is not None
        event = _EVENTS[index]
        if index == 0:
            event = _STREAM_HEAD + event
        if index == EVENTS - 1:
            self._transport.write(event + b"0\r\n\r\n")
            self._timer = None
            return
        self._transport.write(event)
        self._at += self._every
        self._timer = self._loop.call_at(self._at, self._send, index + 1)


async def _serve(host: str, port: int, every_milliseconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(every_milliseconds), host, port, backlog=1024)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with server:
        await stop.wait()


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
