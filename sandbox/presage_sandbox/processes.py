"""Finds a sandbox's processes on the host by a mark in their environment.

Every process inherits the mark from the daemon, so that `down` finds what a crash left behind
without trusting pid files, whose numbers may long belong to somebody else.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from presage_sandbox.errors import SandboxError

MARK = "PRESAGE_SANDBOX_MARK"
POLL_SECONDS = 0.05


def marked(identity: str) -> list[int]:
    """Host pids of the living processes of the sandbox `identity`, oldest first."""
    mark = f"{MARK}={identity}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to somebody else
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return sorted(found)


def kill_all(identity: str, within_seconds: float = 15.0) -> int:
    """Kill every process of the sandbox and wait until they are gone; how many there were.

    SandboxError when some survive, which only a process stuck in the kernel does.
    """
    mine = [pid for pid in marked(identity) if pid != os.getpid()]
    for pid in mine:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + within_seconds
    while left := [pid for pid in marked(identity) if pid != os.getpid()]:
        if time.monotonic() > deadline:
            raise SandboxError(f"processes {left} of the sandbox do not die; look at them with `ps -fp PID`")
        time.sleep(POLL_SECONDS)
    return len(mine)


def host_pids(identity: str) -> dict[int, int]:
    """Map pids as the sandbox's own pid namespace counts them to pids of the host."""
    return {_innermost(pid): pid for pid in marked(identity)}


def _innermost(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return pid
