"""Publishes ports of the node's network namespace on 127.0.0.1 of the host.

A listening socket opened before the namespace was entered still listens outside; each connection it
accepts is joined here with one made inside.
"""

import asyncio
import socket

CHUNK_BYTES = 65536
CONNECT_SECONDS = 5.0


async def publish(listener: socket.socket, address: str, port: int) -> asyncio.Server:
    """Forward every connection that `listener` accepts to `address`:`port` until the server is closed."""

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                inner_reader, inner_writer = await asyncio.open_connection(address, port)
        except OSError:  # also TimeoutError: nobody listens inside; the client sees its connection end
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, inner_writer))
                both.create_task(_pump(inner_reader, writer))
        except* OSError:
            writer.transport.abort()  # a reset on one side is one on the other
            inner_writer.transport.abort()
        finally:
            writer.close()
            inner_writer.close()

    return await asyncio.start_server(join, sock=listener)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction with back-pressure and pass its end on; the other direction may go on."""
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
