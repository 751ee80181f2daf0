"""Shows a run as it happens: two columns on a terminal, one line every ten seconds elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from presage_cli.demo.scene import Scene, ServiceScene

BARS = "▁▂▃▄▅▆▇█"
PLAIN_SECONDS = 10.0
COLOURS = ("blue", "dark_orange")
REASON_CHARACTERS = 150

Show = Callable[[Scene], None]


@contextlib.contextmanager
def live_view(stream: TextIO | None = None) -> Iterator[Show]:
    """Give a function that shows a scene, by what the stream is (standard output by default)."""
    stream = stream or sys.stdout
    if not stream.isatty():
        yield _Plain(stream).show
        return
    console = Console(file=stream)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        yield lambda scene: live.update(picture(scene), refresh=True)


def sparkline(values: Sequence[float], top: float) -> str:
    """Draw values between 0 and `top` as a row of bars; nothing for no values."""
    return "".join(BARS[min(len(BARS) - 1, max(0, int(value / top * len(BARS))))] for value in values)


def picture(scene: Scene) -> RenderableType:
    """Draw the whole scene."""
    head = Table.grid(padding=(0, 2), expand=False)
    head.add_row(
        Text(f"{scene.clock} UTC in the trace", style="bold"),
        ProgressBar(total=scene.length, completed=min(scene.length, max(0.0, scene.at)), width=36),
        Text(_phase(scene)),
        Text(f"load generator p99 {scene.late_p99_ms:.0f} ms late", style="dim"),
    )
    panels = [_panel(service, scene, colour) for service, colour in zip(scene.services, COLOURS, strict=True)]
    return Group(head, Columns(panels, equal=True, expand=True))


def plain_line(scene: Scene) -> str:
    """Say the scene in one line."""
    parts = [
        f"{service.name} {service.ready_now}/{service.desired_now} ready, "
        f"TTFT p99 {_seconds(service.ttft_p99_ms)}, {_percent(service.attainment)} within objectives, "
        f"{service.failed} failed, {service.lost} lost"
        for service in scene.services
    ]
    return f"{scene.clock}  {_phase(scene)}  {scene.in_flight} in flight | " + " | ".join(parts)


class _Plain:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said = 0.0

    def show(self, scene: Scene) -> None:
        if time.monotonic() - self._said >= PLAIN_SECONDS:
            self._said = time.monotonic()
            print(plain_line(scene), file=self._stream, flush=True)


def _panel(service: ServiceScene, scene: Scene, colour: str) -> Panel:
    table = Table.grid(padding=(0, 1))
    load, forecast = _last(service.load), _last(service.forecast)
    table.add_row("load", sparkline(service.load, scene.tokens_top), f"{load:,.0f} tokens/s")
    table.add_row("forecast", sparkline(service.forecast, scene.tokens_top), f"{forecast:,.0f} tokens/s")
    replicas = f"{service.ready_now} ready of {service.pods_now}, {service.desired_now} desired"
    table.add_row("replicas", sparkline(service.ready, scene.replicas_top), replicas)
    table.add_row("TTFT", f"p50 {_seconds(service.ttft_p50_ms)}", f"p99 {_seconds(service.ttft_p99_ms)}")
    table.add_row("within", f"{_percent(service.attainment)} of requests", "both objectives")
    table.add_row("requests", f"{service.completed} done", f"{service.failed} failed, {service.lost} lost")
    reason = Text(service.reason[:REASON_CHARACTERS], style="dim")
    title = f"[bold]{service.name}[/bold] {service.policy}"
    return Panel(Group(table, reason), title=title, border_style=colour, title_align="left")


def _phase(scene: Scene) -> str:
    if scene.at < 0:
        return f"warm-up, counts in {-scene.at:.0f} s"
    return f"{scene.left:.0f} s left" if scene.left else "last answers"


def _last(values: Sequence[float]) -> float:
    return values[-1] if values else 0.0


def _seconds(milliseconds: float | None) -> str:
    return "none" if milliseconds is None else f"{milliseconds / 1000:.2f} s"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share * 100:.1f} %"
