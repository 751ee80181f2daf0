"""Finding and ending a sandbox's processes by their mark."""

import os
import subprocess
import sys

from presage_sandbox.processes import MARK, host_pids, kill_all, marked

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def marked_process(identity: str) -> "subprocess.Popen[str]":
    """Start a process in a session of its own, as containers are."""
    process = subprocess.Popen(
        SLEEP, env={**os.environ, MARK: identity}, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_only_the_processes_of_one_sandbox_are_killed() -> None:
    """`kill_all` ends exactly the processes with its sandbox's mark, whatever group they are in."""
    with marked_process("mine") as mine, marked_process("mine-too") as other:
        assert marked("mine") == [mine.pid]
        assert host_pids("mine") == {mine.pid: mine.pid}
        assert kill_all("mine") == 1
        assert mine.wait(5) == -9
        assert other.poll() is None
        assert kill_all("mine") == 0
        assert kill_all("mine-too") == 1
