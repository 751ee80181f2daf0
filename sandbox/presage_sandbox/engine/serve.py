"""One engine as a process: opens the port, steps until a signal, lets running answers finish.

A second signal ends it at once. The engine's loop failing ends the process with an error, as it
would with a real engine: half an engine that accepts requests is worse than none.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from typing import TYPE_CHECKING

from presage_sandbox.engine.server import EngineServer, drain, start

if TYPE_CHECKING:
    from presage_sandbox.engine.settings import EngineSettings

log = logging.getLogger(__name__)


async def serve(settings: EngineSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the port cannot be opened."""
    server = EngineServer(settings)
    runner, site, port = await start(server)
    log.info(
        "engine %s serves %s on http://%s:%d", settings.profile.name, settings.model, settings.host, port
    )
    signals = _Signals()
    gc.freeze()  # what start-up made stays; collecting it holds up every stream by 8 ms (measured)
    steps = asyncio.create_task(server.loop.run())
    asked = asyncio.create_task(signals.wait())
    try:
        await asyncio.wait((steps, asked), return_when=asyncio.FIRST_COMPLETED)
        if steps.done():
            steps.result()  # raises what ended it
        server.stopping = True
        await site.stop()  # connections are refused from here on
        await _finish(server, signals)
    finally:
        await _cancel(steps, asked)
        await runner.cleanup()


async def _finish(server: EngineServer, signals: _Signals) -> None:
    log.info("stopping: %d answers to finish", server.loop.open_answers)
    drained = asyncio.create_task(drain(server, server.settings.grace_seconds))
    again = asyncio.create_task(signals.wait())
    await asyncio.wait((drained, again), return_when=asyncio.FIRST_COMPLETED)
    if server.loop.open_answers:
        log.warning("gave up on %d answers", server.loop.open_answers)
    await _cancel(drained, again)


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _Signals:
    """SIGTERM and SIGINT as something to wait for, as often as they come."""

    def __init__(self) -> None:
        self._seen: asyncio.Queue[int] = asyncio.Queue()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._seen.put_nowait, number)

    async def wait(self) -> None:
        """Wait for the next signal."""
        await self._seen.get()
