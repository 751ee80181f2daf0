"""One supervised program: started with a log file, watched, stopped, and dead when its supervisor is."""

import asyncio
import ctypes
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from presage_sandbox.errors import SandboxError

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.05
TAIL_LINES = 15
_libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(frozen=True)
class Program:
    """What to run and how to know that it is well.

    `healthy` answers whether the program serves (exceptions of connections count as no); None means
    that running is enough. `address` is shown by `status`. Times are seconds.
    """

    name: str
    argv: tuple[str, ...]
    address: str = ""
    healthy: Callable[[], Awaitable[bool]] | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    start_seconds: float = 60.0
    stop_seconds: float = 10.0


def _die_with_supervisor() -> None:
    """Have the kernel kill this program when its supervisor dies, however it dies."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class RunningProgram:
    """A program's process and its log."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process, in the supervisor's pid namespace; None when it does not run."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    @property
    def state(self) -> str:
        """`running`, `stopped`, or `exited N` when it ended by itself."""
        if self._process is None:
            return "stopped"
        code = self._process.poll()
        return "running" if code is None else f"exited {code}"

    async def start(self) -> None:
        """Start and wait until healthy; SandboxError quotes the log's last lines when it is not in time."""
        if self.pid is not None:
            return
        self._spawn()
        await self.confirm()

    async def confirm(self) -> None:
        """Wait until healthy; SandboxError when it has ended or is not healthy in time (then stopped)."""
        deadline = time.monotonic() + self.program.start_seconds
        while not await self.is_healthy():
            if self.pid is None:
                raise SandboxError(f"{self.program.name} {self.state} at start{self._tail()}")
            if time.monotonic() > deadline:
                await self.stop()
                raise SandboxError(
                    f"{self.program.name} was not healthy {self.program.start_seconds:g} s after its start"
                    f"{self._tail()}"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def is_healthy(self) -> bool:
        """Whether the process runs and, where there is a check, passes it."""
        if self.pid is None:
            return False
        if self.program.healthy is None:
            return True
        try:
            return await self.program.healthy()
        except OSError:
            return False

    async def stop(self) -> None:
        """Stop: SIGTERM, and SIGKILL after `stop_seconds`; nothing when it does not run."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self.program.stop_seconds
        while process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
            await asyncio.sleep(POLL_SECONDS)

    def _spawn(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(f"--- {time.strftime('%H:%M:%S')} {' '.join(self.program.argv)}\n".encode())
            log.flush()
            try:
                self._process = subprocess.Popen(  # noqa: S603 - argv is ours, no shell
                    self.program.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self.program.environment},
                    preexec_fn=_die_with_supervisor,  # noqa: PLW1509 - the supervisor has one thread
                )
            except OSError as error:
                raise SandboxError(
                    f"{self.program.name}: cannot run {self.program.argv[0]}: {error}"
                ) from error

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return f"; the end of {self.log}:\n" + "\n".join(f"    {line}" for line in lines)
