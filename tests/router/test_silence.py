"""One timer a stream tells a silent upstream from a slow client."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web
from presage_router.silence import PatientReader

IDLE_SECONDS = 0.15
Serve = Callable[[list[float]], "asyncio.Future[aiohttp.ClientResponse]"]


@pytest.fixture
async def stream() -> AsyncIterator[Serve]:
    """Give a function that opens a stream of one byte after each of so many pauses (seconds)."""
    pauses: list[float] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for pause in pauses:
            await asyncio.sleep(pause)
            await response.write(b"x")
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as session:

        def serve(wanted: list[float]) -> "asyncio.Future[aiohttp.ClientResponse]":
            pauses[:] = wanted
            return asyncio.ensure_future(session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/"))

        yield serve
    await runner.cleanup()


async def test_each_read_has_its_own_limit(stream: Serve) -> None:
    """A stream may take far longer than the limit in all, if only no single pause does."""
    reader = PatientReader(await stream([0.06] * 8), IDLE_SECONDS)
    read = b""
    while piece := await reader.read():
        read += piece
    reader.stop()
    assert read == b"x" * 8


async def test_silence_ends_the_read_in_time(stream: Serve) -> None:
    """After timely pieces a pause beyond the limit ends the read, counted from that read's beginning."""
    response = await stream([0.0, 0.1, 30.0])
    reader = PatientReader(response, IDLE_SECONDS)
    assert await reader.read() + await reader.read() == b"xx"
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await reader.read()
    waited = asyncio.get_running_loop().time() - began
    assert waited == pytest.approx(IDLE_SECONDS, abs=0.1)
    assert waited > IDLE_SECONDS - 0.01
    assert response.closed


async def test_a_slow_client_is_no_silent_upstream(stream: Serve) -> None:
    """Time in which nobody reads does not count, however long."""
    reader = PatientReader(await stream([0.0, 0.2]), IDLE_SECONDS)
    assert await reader.read() == b"x"
    await asyncio.sleep(3 * IDLE_SECONDS)
    assert await reader.read() == b"x"
    reader.stop()


async def test_a_stopped_reader_closes_nothing(stream: Serve) -> None:
    """Once stopped, no timer reaches for the response any more: its connection may serve another request."""
    response = await stream([0.0, 0.4])
    reader = PatientReader(response, IDLE_SECONDS)
    assert await reader.read() == b"x"
    reader.stop()
    assert await response.content.read() == b"x"


async def test_a_broken_stream_is_not_silent(stream: Serve) -> None:
    """A connection that breaks is told as such, not as silence."""
    response = await stream([0.0, 30.0])
    reader = PatientReader(response, IDLE_SECONDS)
    assert await reader.read() == b"x"
    asyncio.get_running_loop().call_later(0.02, response.close)
    with pytest.raises(aiohttp.ClientError):
        await reader.read()
    reader.stop()
