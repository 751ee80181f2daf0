"""The sandbox's background process: `python -m presage_sandbox.daemon STATE`, started by `up`.

Without a node the supervisor runs right here. With one, this process opens the published listening
sockets and stays in the host's namespaces, while the supervisor and every program live in new
network, mount and pid namespaces; when either dies, the kernel ends all the rest.
"""

import asyncio
import contextlib
import dataclasses
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from presage_sandbox import control
from presage_sandbox.control_plane import start_control_plane
from presage_sandbox.errors import SandboxError
from presage_sandbox.forwarder import publish
from presage_sandbox.layout import FAILURE, LOOPBACK, Layout
from presage_sandbox.namespaces import run_in_namespaces
from presage_sandbox.node_hook import NodeHook, load_node
from presage_sandbox.prometheus import prepare_prometheus, prometheus
from presage_sandbox.supervisor import Supervisor


def main(state: Path) -> int:
    """Run the sandbox described by STATE/sandbox.json until told to stop; the exit code.

    Returns in the caller at once, when the state folder is locked; the rest happens in a fork, which
    nobody waits for: whoever called `up` may live longer or shorter than the sandbox.
    """
    with _only_one(state):
        if os.fork() != 0:
            os._exit(0)  # the fork keeps the lock
        layout = Layout.read(state)
        try:
            return _run(layout)
        except SandboxError as error:
            (state / FAILURE).write_text(str(error))
            return 1


def _run(layout: Layout) -> int:
    if not layout.options.node:
        return asyncio.run(_supervise(layout, {}, None))
    node = load_node()
    listeners = {name: _listen(port) for name, port in layout.published.items()}
    node.prepare_host(layout)
    try:
        return run_in_namespaces(lambda: asyncio.run(_supervise(layout, listeners, node)), layout.address)
    finally:
        node.restore_host(layout)


async def _supervise(layout: Layout, listeners: dict[str, socket.socket], node: NodeHook | None) -> int:
    """Start everything, wait for SIGTERM or `down`, stop everything in reverse order."""
    supervisor = Supervisor(layout)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = await control.serve(layout.state, lambda request: _answer(supervisor, ended, request))
    forwarders = [await publish(each, layout.address, layout.ports[name]) for name, each in listeners.items()]
    starting = asyncio.create_task(_start(supervisor, node))
    stopping = asyncio.create_task(ended.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    failure = await _failure_of(starting, ended)
    if failure is None:
        supervisor.ready = True
        await stopping
    else:
        (layout.state / FAILURE).write_text(failure)
    supervisor.ready = False
    if node is not None:
        await node.stop(layout, supervisor)
    await supervisor.stop_all()
    for each in (server, *forwarders):
        each.close()
    return 0 if failure is None else 1


async def _start(supervisor: Supervisor, node: NodeHook | None) -> None:
    await prepare_prometheus(supervisor)  # first, because only here the user's own input can be bad
    await start_control_plane(supervisor)
    await supervisor.run(prometheus(supervisor.layout))
    if node is not None:
        await node.start(supervisor.layout, supervisor)
    await supervisor.confirm()


async def _failure_of(starting: asyncio.Task[None], ended: asyncio.Event) -> str | None:
    """Why the start failed; None when it did not. A start that is no longer wanted is cut short."""
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        return "stopped before everything had started" if ended.is_set() else "the start was cancelled"
    except SandboxError as error:
        return str(error)
    return None


async def _answer(supervisor: Supervisor, ended: asyncio.Event, request: dict[str, Any]) -> dict[str, Any]:
    match request:
        case {"command": "status"}:
            programs = [dataclasses.asdict(each) for each in await supervisor.status()]
            return {"ready": supervisor.ready, "doing": supervisor.doing, "programs": programs}
        case {"command": "start" | "stop" | "restart" as command, "program": str(name)}:
            await getattr(supervisor, command)(name)
        case {"command": "down"}:
            ended.set()
        case _:
            raise SandboxError(
                f"unknown request {request}: commands are status, down, "
                "and start, stop, restart with a program"
            )
    return {}


@contextlib.contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Hold STATE/lock as long as any process of this daemon lives."""
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SandboxError(f"a sandbox already runs in {state}: `presage sandbox down` ends it") from None
        yield


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port), backlog=512)
    except OSError as error:
        raise SandboxError(f"cannot publish on {LOOPBACK}:{port}: {error}") from error


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
