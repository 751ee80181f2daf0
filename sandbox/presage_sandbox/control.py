"""The supervisor's control socket: one JSON request and one JSON answer a connection.

A Unix socket in the state folder, so that only its owner can talk to it. A socket's path may have
107 bytes only; it is reached through the folder's descriptor, so the state folder may be any length.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from presage_sandbox.errors import SandboxError

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
NAME = "control.sock"


async def serve(state: Path, answer: Answer) -> asyncio.Server:
    """Answer requests with `answer`; its SandboxError becomes the answer's `error`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reply = await answer(json.loads(await reader.readline()))
        except SandboxError as error:
            reply = {"error": str(error)}
        except ValueError as error:
            reply = {"error": f"the request is no JSON object in one line: {error}"}
        try:
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        except OSError:
            pass  # who asked did not wait
        finally:
            writer.close()

    (state / NAME).unlink(missing_ok=True)
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return await asyncio.start_unix_server(handle, path=f"/proc/self/fd/{folder}/{NAME}")
    finally:
        os.close(folder)


def ask(state: Path, request: dict[str, Any], timeout_seconds: float = 180.0) -> dict[str, Any]:
    """Ask the supervisor of the sandbox in `state`.

    SandboxError with its own words when it refuses; OSError when none listens (not started yet,
    stopped, or crashed) or it does not answer in time.
    """
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_seconds)
            connection.connect(f"/proc/self/fd/{folder}/{NAME}")
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile() as stream:
                line = stream.readline()
    finally:
        os.close(folder)
    if not line:
        raise ConnectionResetError(f"the supervisor of {state} ended before it answered {request}")
    reply: dict[str, Any] = json.loads(line)
    if "error" in reply:
        raise SandboxError(reply["error"])
    return reply
