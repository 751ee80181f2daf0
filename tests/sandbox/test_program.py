"""A supervised program: start, health, stop, and death with its supervisor."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import Options, plan
from presage_sandbox.program import Program, RunningProgram
from presage_sandbox.supervisor import Supervisor


def python(code: str) -> tuple[str, ...]:
    """Make the command line of a small program."""
    return (sys.executable, "-c", code)


async def test_start_waits_for_health(tmp_path: Path) -> None:
    """`start` returns when the check passes and not before."""
    ready = tmp_path / "ready"

    async def healthy() -> bool:
        return ready.exists()

    code = f"import time; time.sleep(0.3); open({str(ready)!r}, 'w'); time.sleep(60)"
    running = RunningProgram(Program("slow", python(code), healthy=healthy), tmp_path / "log")
    await running.start()
    assert ready.exists()
    assert running.state == "running"
    await running.stop()
    assert running.state == "stopped"
    assert running.pid is None


async def test_a_program_that_ends_at_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    """The error names the program, its exit code and quotes the end of its log."""

    async def never() -> bool:
        return False

    code = "import sys; print('flag --wings is unknown', file=sys.stderr); sys.exit(3)"
    running = RunningProgram(Program("etcd", python(code), healthy=never), tmp_path / "log")
    with pytest.raises(SandboxError, match=r"(?s)etcd exited 3 at start.*flag --wings is unknown"):
        await running.start()


async def test_a_program_that_never_serves_is_stopped_and_told(tmp_path: Path) -> None:
    """After `start_seconds` without health the program is stopped and the error says so."""

    async def never() -> bool:
        return False

    program = Program(
        "deaf", python("import time; time.sleep(60)"), healthy=never, start_seconds=0.3, stop_seconds=1
    )
    running = RunningProgram(program, tmp_path / "log")
    with pytest.raises(SandboxError, match=r"deaf was not healthy 0\.3 s after its start"):
        await running.start()
    assert running.pid is None


async def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """`stop` always ends the process, at the latest after `stop_seconds`."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    log = tmp_path / "log"

    async def deaf() -> bool:
        return log.read_bytes().endswith(b"deaf\n")

    running = RunningProgram(Program("stubborn", python(code), healthy=deaf, stop_seconds=0.3), log)
    await running.start()
    pid = running.pid
    assert pid is not None
    await running.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_missing_executable_is_named(tmp_path: Path) -> None:
    """A program that is not there is told by name and path."""
    running = RunningProgram(Program("etcd", (str(tmp_path / "etcd"),)), tmp_path / "log")
    with pytest.raises(SandboxError, match=r"etcd: cannot run .*/etcd"):
        await running.start()


def test_programs_die_with_their_supervisor(tmp_path: Path) -> None:
    """SIGKILL of the supervisor leaves no program behind."""
    code = f"""
import asyncio, sys, time
from pathlib import Path
from presage_sandbox.program import Program, RunningProgram
async def main():
    program = Program("child", (sys.executable, "-c", "import time; time.sleep(60)"))
    running = RunningProgram(program, Path({str(tmp_path / "log")!r}))
    await running.start()
    print(running.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        os.kill(child, 0)
        supervisor.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < deadline, "the program outlived its supervisor"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process runs; an orphan that its new parent has not reaped yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_the_supervisor_confirms_only_what_still_runs(tmp_path: Path) -> None:
    """A program without a check that ended behind the supervisor's back is found, with its log."""
    supervisor = Supervisor(plan(tmp_path, Options(), {}))
    await supervisor.run(Program("short", python("print('cannot bind')")))
    while (await supervisor.status())[0].state == "running":  # noqa: ASYNC110 - a process has no event
        await asyncio.sleep(0.02)
    with pytest.raises(SandboxError, match=r"(?s)short exited 0 at start.*cannot bind"):
        await supervisor.confirm()


async def test_the_supervisor_stops_and_starts_one_program_by_name(tmp_path: Path) -> None:
    """The same program runs again as a new process; an unknown name is answered with the known ones."""
    supervisor = Supervisor(plan(tmp_path, Options(), {}))
    await supervisor.run(Program("sleeper", python("import time; time.sleep(60)")))
    first = (await supervisor.status())[0]
    await supervisor.stop("sleeper")
    assert (await supervisor.status())[0].state == "stopped"
    await supervisor.start("sleeper")
    second = (await supervisor.status())[0]
    assert second.healthy
    assert second.pid != first.pid
    with pytest.raises(SandboxError, match="no program 'dreamer' in this sandbox; it runs sleeper"):
        await supervisor.restart("dreamer")
    await supervisor.stop_all()
    assert (await supervisor.status())[0].state == "stopped"
