"""Published ports: bytes in both directions, ends and failures passed on."""

import asyncio
import contextlib
import socket

import pytest
from presage_sandbox.forwarder import publish
from presage_sandbox.layout import free_ports


async def echo_after_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer only when the client has ended its side: needs half-open connections to be forwarded."""
    writer.write(await reader.read())
    await writer.drain()
    writer.close()


def listener() -> socket.socket:
    """Open the published side."""
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_001])
async def test_bytes_and_half_closes_pass_both_ways(size: int) -> None:
    """What goes in comes out unchanged, and the end of one direction does not end the other."""
    backend = await asyncio.start_server(echo_after_end, "127.0.0.1", 0)
    port = backend.sockets[0].getsockname()[1]
    front = listener()
    async with backend, await publish(front, "127.0.0.1", port):
        reader, writer = await asyncio.open_connection(*front.getsockname())
        sent = bytes(i % 251 for i in range(size))
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        writer.close()


async def test_nobody_inside_ends_the_connection() -> None:
    """While the program behind a published port is stopped, clients see their connection end, not hang."""
    front = listener()
    async with await publish(front, "127.0.0.1", free_ports(1)[0]):
        reader, writer = await asyncio.open_connection(*front.getsockname())
        with contextlib.suppress(ConnectionResetError):  # as good as an end
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_client_that_goes_away_frees_the_inner_connection() -> None:
    """A client's reset reaches the program inside."""
    ended = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(100):
                pass
        except ConnectionError:
            pass
        ended.set()
        writer.close()

    backend = await asyncio.start_server(watch, "127.0.0.1", 0)
    front = listener()
    async with backend, await publish(front, "127.0.0.1", backend.sockets[0].getsockname()[1]):
        _, writer = await asyncio.open_connection(*front.getsockname())
        writer.write(b"hello")
        await writer.drain()
        writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 5)
