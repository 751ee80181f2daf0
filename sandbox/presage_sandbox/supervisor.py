"""Runs the sandbox's programs in order, and knows how each of them is."""

import asyncio
import dataclasses

from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import Layout
from presage_sandbox.program import Program, RunningProgram


@dataclasses.dataclass(frozen=True)
class ProgramStatus:
    """One line of `status`; `pid` is in the supervisor's pid namespace."""

    name: str
    state: str
    healthy: bool
    pid: int | None
    address: str


class Supervisor:
    """Starts, stops and watches programs; satisfies `node_hook.ProgramRunner`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.doing = "starting"  # for the user who waits before `up`
        self.ready = False
        self._programs: dict[str, RunningProgram] = {}
        self._changing = asyncio.Lock()

    def say(self, doing: str) -> None:
        """Tell the user, who waits before `up`, what is being done now."""
        self.doing = doing

    async def run(self, program: Program) -> None:
        """Start a program and wait until it is healthy; SandboxError when it is not in time."""
        self.say(f"starting {program.name}")
        running = RunningProgram(program, self.layout.logs / f"{program.name}.log")
        self._programs[program.name] = running
        await running.start()

    async def confirm(self) -> None:
        """Raise SandboxError with the log of the first program that ended or does not stay healthy."""
        for each in self._programs.values():
            await each.confirm()

    async def start(self, name: str) -> None:
        """Start a stopped program again, same arguments; SandboxError for an unknown name."""
        async with self._changing:
            await self._find(name).start()

    async def stop(self, name: str) -> None:
        """Stop one program; nothing when it does not run; SandboxError for an unknown name."""
        async with self._changing:
            await self._find(name).stop()

    async def restart(self, name: str) -> None:
        """Stop and start one program; SandboxError for an unknown name."""
        async with self._changing:
            await self._find(name).stop()
            await self._find(name).start()

    async def stop_all(self) -> None:
        """Stop every program, last started first."""
        for running in reversed(self._programs.values()):
            self.say(f"stopping {running.program.name}")
            await running.stop()

    async def status(self) -> list[ProgramStatus]:
        """Every program in start order, health asked now."""
        return list(await asyncio.gather(*(self._status(each) for each in self._programs.values())))

    async def _status(self, running: RunningProgram) -> ProgramStatus:
        program = running.program
        return ProgramStatus(
            program.name, running.state, await running.is_healthy(), running.pid, program.address
        )

    def _find(self, name: str) -> RunningProgram:
        if name not in self._programs:
            raise SandboxError(f"no program {name!r} in this sandbox; it runs {', '.join(self._programs)}")
        return self._programs[name]
