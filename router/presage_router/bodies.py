"""Reads request bodies within a bound of size and time."""

import asyncio

from aiohttp import web

from presage_router.errors import Refusal


async def bounded_body(request: web.Request, limit: int, idle_seconds: float) -> bytes:
    """Return a request's body. Raises Refusal when it is larger than `limit` bytes or stops arriving."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.content.is_eof() and request.content.total_bytes <= limit:  # all here: no need to wait
        return await request.content.read()
    pieces: list[bytes] = []
    size = 0
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                piece = await request.content.readany()
        except TimeoutError:
            raise Refusal("bad-request", f"the body stopped arriving for {idle_seconds:g} s") from None
        if not piece:
            return b"".join(pieces)
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)


def _too_large(limit: int) -> Refusal:
    return Refusal("body-too-large", f"the body is larger than {limit} bytes (maxBodyBytes): send less")
