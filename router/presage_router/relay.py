"""Passes an answer on to whoever asked, as fast as they take it and not faster.

Each piece is written before the next is read, so a slow reader slows the engine's socket and nothing
piles up here. A reader that leaves cancels the handler; its caller closes the answer.
"""

from collections.abc import Callable

from aiohttp import web

from presage_router.answers import Answer
from presage_router.headers import Headers

Closing = Callable[[Answer], bytes]
_EVENTS = "text/event-stream"


def nothing_more(_: Answer) -> bytes:
    """End the stream as the upstream ended it."""
    return b""


async def relay(
    request: web.Request, answer: Answer, sent: Headers, closing: Closing = nothing_more
) -> web.StreamResponse:
    """Write an answer to a request; `closing` gives bytes that end a stream, once all else is known.

    Raises ConnectionError when the reader is gone.
    """
    if not sent.get("Content-Type", "").startswith(_EVENTS):
        return await _whole(request, answer, sent)
    response = web.StreamResponse(status=answer.status, headers=sent)
    await response.prepare(request)
    while piece := await answer.read():
        await response.write(piece)
    last = closing(answer)
    if last:
        await response.write(last)
    await response.write_eof()
    return response


async def _whole(request: web.Request, answer: Answer, sent: Headers) -> web.StreamResponse:
    """Write an answer that does not stream in one piece: it is there already but for its last packets."""
    pieces = []
    while piece := await answer.read():
        pieces.append(piece)
    if answer.died and request.transport is not None:
        request.transport.abort()  # half an answer must not look whole
        raise ConnectionResetError("the upstream broke off within its answer")
    response = web.Response(status=answer.status, body=b"".join(pieces), headers=sent)
    await response.prepare(request)
    await response.write_eof()
    return response
