"""Waits, for tests of things that happen in other processes and in their own time."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from presage_sandbox.errors import SandboxError


def until(what: Callable[[], Any], seconds: float = 30.0, pause: float = 0.3) -> Any:
    """Return the first truthy answer; AssertionError with the last one when none comes in time."""
    deadline = time.monotonic() + seconds
    answer = what()
    while not answer:
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(pause)
        answer = what()
    return answer


def eventually(told: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until something is so, also across errors of kubectl; fail with `what` when it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(SandboxError):
            if told():
                return
        time.sleep(0.3)
    pytest.fail(f"not within {seconds:.0f} s: {what}")
