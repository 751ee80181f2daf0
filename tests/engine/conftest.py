"""Engines for tests: real sockets on 127.0.0.1, profiles small enough to fill in a moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from presage_policies.engine import EngineProfile, IterationCoefficients
from presage_sandbox.engine.server import EngineServer, start
from presage_sandbox.engine.settings import EngineSettings

MODEL = "test/model"


def profile(step_seconds: float = 0.002, **changes: Any) -> EngineProfile:
    """Give a profile whose iterations take `step_seconds` each, whatever is in them."""
    limits: dict[str, Any] = {"kv_capacity_tokens": 4096, "max_sequences": 64, "token_budget": 512}
    coefficients = IterationCoefficients(step_seconds, 0.0, 0.0, 0.0, 0.0)
    return EngineProfile("test", coefficients, **(limits | changes))


class Engine:
    """One engine that runs in the test's own event loop, and a session to talk to it."""

    def __init__(self, server: EngineServer, runner: web.AppRunner, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.runner = runner
        self.session = session
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    def post(
        self, body: dict[str, Any], *, output: int | str | None = None, path: str = "completions"
    ) -> Any:
        """Send a request; `output` is the answer's true length in tokens."""
        headers = {} if output is None else {"x-emulated-output-tokens": str(output)}
        return self.session.post(f"{self.url}/v1/completions", json=body, headers=headers)

    async def metric(self, name: str, **labels: str) -> float:
        """Scrape one sample; with labels, the one that has them."""
        async with self.session.get(f"{self.url}/metrics") as response:
            text = await response.text()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        rows = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        rows = [line for line in rows if all(label in line for label in wanted)]
        assert len(rows) == 1, (name, labels, rows)
        return float(rows[0].rsplit(" ", 1)[1])

    async def until(self, holds: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
        """Wait until `holds` gives True; fail after `seconds`."""
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 - what is polled is behind a socket
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(settings: EngineSettings) -> AsyncIterator[Engine]:
    """Serve an engine while the block runs."""
    server = EngineServer(settings)
    runner, _, _ = await start(server)
    steps = asyncio.create_task(server.loop.run())
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield Engine(server, runner, session)
    finally:
        steps.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await steps
        await runner.cleanup()


@pytest.fixture
async def engines() -> AsyncIterator[Callable[..., Awaitable[Engine]]]:
    """Start engines with the settings given; they end with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(engine_profile: EngineProfile | None = None, **settings: Any) -> Engine:
            chosen = EngineSettings(profile=engine_profile or profile(), model=MODEL, port=0, **settings)
            return await stack.enter_async_context(running(chosen))

        yield make


@pytest.fixture
def make_profile() -> Callable[..., EngineProfile]:
    """Give the maker of test profiles."""
    return profile
