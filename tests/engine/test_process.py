"""`presage engine` as a process: flags, signals, start-up."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PRESAGE = Path(sys.executable).with_name("presage")


class Process:
    """A started `presage engine` and the URL that it printed."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url


@pytest.fixture
async def launch() -> Any:
    """Start `presage engine` with the flags given; what still runs is killed afterwards."""
    started = []

    async def go(*flags: Any) -> Any:
        process = await asyncio.create_subprocess_exec(
            PRESAGE,
            "engine",
            "--port",
            "0",
            *flags,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        line = (await process.stderr.readline()).decode()
        assert "http://" in line, line
        return Process(process, line.split()[-1])

    yield go
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_sigterm_lets_answers_finish(launch: Any) -> None:
    """After SIGTERM new connections are refused, the running stream completes, then it exits 0."""
    engine = await launch("--time-scale", "2")
    async with aiohttp.ClientSession() as session:
        body = {"prompt": "x", "max_tokens": 60, "stream": True}
        headers = {"x-emulated-output-tokens": "60"}
        async with session.post(f"{engine.url}/v1/completions", json=body, headers=headers) as response:
            await response.content.readuntil(b"\n\n")
            engine.process.send_signal(signal.SIGTERM)
            rest = await response.read()
        assert rest.endswith(b"data: [DONE]\n\n")
        assert await asyncio.wait_for(engine.process.wait(), 5) == 0
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{engine.url}/health")


async def test_grace_runs_out(launch: Any) -> None:
    """An answer longer than the grace is cut without [DONE] and the process still exits in time."""
    engine = await launch("--grace-seconds", "0.2")
    async with aiohttp.ClientSession() as session:
        body = {"prompt": "x", "max_tokens": 5000, "stream": True}
        headers = {"x-emulated-output-tokens": "5000"}
        async with session.post(f"{engine.url}/v1/completions", json=body, headers=headers) as response:
            await response.content.readuntil(b"\n\n")
            engine.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(engine.process.wait(), 5) == 0
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_bad_flag() -> None:
    """A flag that cannot be is refused on stderr with its name, its value and the fix; exit status 2."""
    process = await asyncio.create_subprocess_exec(
        PRESAGE, "engine", "--time-scale", "0", stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert "time-scale is 0.0: use a factor above 0" in stderr.decode()
