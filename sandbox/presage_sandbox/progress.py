"""Says what takes time: a live line with a running clock on a terminal, plain lines elsewhere.

Everything goes to the error stream: standard output is for what other programs read.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TextIO

HEARTBEAT_SECONDS = 10.0  # plain lines go to logs, which a line a second would drown
MINUTE = 60


class Step(Protocol):
    """One thing that takes time."""

    def update(self, detail: str) -> None:
        """Tell how far it is; cheap, call it often."""


class Progress(Protocol):
    """Where steps are shown."""

    def say(self, line: str) -> None:
        """Print one line."""

    def step(self, title: str) -> contextlib.AbstractContextManager[Step]:
        """Show `title` with a running clock until left; then one line with the time it took."""


def on_terminal(stream: TextIO | None = None) -> Progress:
    """Choose by whether `stream` (the error stream) is a terminal."""
    stream = stream or sys.stderr
    return LiveLines(stream) if stream.isatty() else PlainLines(stream)


class PlainLines:
    """A line at the start, one every 10 s, and one at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, line: str) -> None:
        """Print one line."""
        print(line, file=self._stream, flush=True)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Print the start, heartbeats and the end."""
        started = time.monotonic()
        self.say(f"{title} …")
        try:
            yield _PlainStep(self, title, started)
        except BaseException:
            self.say(f"{title}: failed after {_clock(time.monotonic() - started)}")
            raise
        self.say(f"{title}: {_clock(time.monotonic() - started)}")


class _PlainStep:
    def __init__(self, lines: PlainLines, title: str, started: float) -> None:
        self._lines = lines
        self._title = title
        self._started = started
        self._said = started

    def update(self, detail: str) -> None:
        now = time.monotonic()
        if now - self._said >= HEARTBEAT_SECONDS:
            self._said = now
            self._lines.say(f"{self._title}: {detail}, {_clock(now - self._started)} so far")


class LiveLines:
    """One line a step, redrawn by rich while it runs."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415 - only terminals need rich

        self._console = Console(file=stream, highlight=False)

    def say(self, line: str) -> None:
        """Print one line."""
        self._console.print(line, markup=False)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a spinner and a clock, then how long it took."""
        from rich.progress import Progress as Bars  # noqa: PLC0415 - only terminals need rich
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        started = time.monotonic()
        with Bars(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(title, total=None)
            try:
                yield _LiveStep(lambda detail: bars.update(task, description=f"{title}  {detail}"))
            except BaseException:
                self.say(f"{title}: failed after {_clock(time.monotonic() - started)}")
                raise
        self.say(f"{title}: {_clock(time.monotonic() - started)}")


class _LiveStep:
    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def update(self, detail: str) -> None:
        self._show(detail)


def _clock(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    return f"{int(seconds // MINUTE)} min {int(seconds % MINUTE)} s"
