"""The supervisor's control socket."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from presage_sandbox import control
from presage_sandbox.errors import SandboxError


async def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Give the request back, or refuse it."""
    if request["command"] == "refuse":
        raise SandboxError("no program 'kwok'")
    return {"asked": request}


async def test_a_request_is_answered_in_a_deep_state_folder(tmp_path: Path) -> None:
    """A state folder deeper than a socket's path may be long works like any other."""
    state = tmp_path / ("deep" * 30) / ("er" * 60)
    state.mkdir(parents=True)
    async with await control.serve(state, answer):
        got = await asyncio.to_thread(control.ask, state, {"command": "status"})
    assert got == {"asked": {"command": "status"}}


async def test_a_refusal_arrives_in_its_own_words(tmp_path: Path) -> None:
    """The supervisor's error is the asker's error."""
    async with await control.serve(tmp_path, answer):
        with pytest.raises(SandboxError, match=r"^no program 'kwok'$"):
            await asyncio.to_thread(control.ask, tmp_path, {"command": "refuse"})


async def test_nobody_listening_is_an_oserror(tmp_path: Path) -> None:
    """Before the start and after a crash, also with a socket file left over, asking raises OSError."""
    with pytest.raises(OSError, match="No such file"):
        control.ask(tmp_path, {"command": "status"})
    async with await control.serve(tmp_path, answer):
        pass
    assert (tmp_path / control.NAME).exists()
    with pytest.raises(ConnectionRefusedError):
        control.ask(tmp_path, {"command": "status"})


async def test_garbage_is_answered_not_fatal(tmp_path: Path) -> None:
    """A line that is no JSON gets an error, and the next request is served."""
    async with await control.serve(tmp_path, answer):
        reader, writer = await asyncio.open_unix_connection(tmp_path / control.NAME)
        writer.write(b"hello\n")
        assert b"no JSON object" in await reader.readline()
        writer.close()
        assert await asyncio.to_thread(control.ask, tmp_path, {"command": "x"}) == {"asked": {"command": "x"}}
