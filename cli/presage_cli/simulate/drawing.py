"""How the report draws: matplotlib to inline SVG that takes its colours and fonts from the page.

Ink and grid are drawn in two stand-in colours which become CSS values, so that one drawing serves the light
and the dark page. Nothing in an SVG depends on the time or on chance.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GRID = "#010203", "#040506"
PALETTE = (
    "#2a78d6", "#d9622b", "#1f9e76", "#b0479b", "#c79a14",
    "#6f63d9", "#d1495b", "#4f8f2f", "#2f9fb5", "#8a6d4f",
    "#e58fb6", "#16407a", "#7a7f1e", "#7d2f2f",
)  # fmt: skip
FORESIGHT = "#8a94a0"  # perfect foresight is a bound, not a rival: grey
MISSED = "#d9304f"

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "presage",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Figure, list[str]]]:
    """Give a figure of that size (inches), and a list that receives its SVG when all is drawn."""
    with mpl.rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        drawn: list[str] = []
        yield figure, drawn
        drawn.append(_svg(figure))


def standalone(svg: str) -> str:
    """Return a drawing as a file of its own: light, on paper, without the page's colours and fonts."""
    begin = svg.index(">") + 1
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    head = svg[:begin].replace("<svg", '<svg font-family="system-ui, sans-serif"', 1)
    whole = f"{head}{paper}{svg[begin:]}"
    return whole.replace("var(--ink)", "#1c2127").replace("var(--grid)", "#e4e2db")


def hour_axis(axes: Axes, seconds: float) -> None:
    """Label a time axis in seconds by hours, or by minutes where the slice is short."""
    unit, name = (3600.0, "h") if seconds >= 7200 else (60.0, "min")  # noqa: PLR2004 - two hours
    step = _round_step(seconds / unit / 8) * unit
    ticks = [index * step for index in range(int(seconds / step + 1e-9) + 1)]
    axes.set_xticks(ticks, [f"{tick / unit:g}" for tick in ticks])
    axes.set_xlim(0, seconds)
    axes.set_xlabel(f"time ({name})")


def _round_step(least: float) -> float:
    return next(step for step in (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 240, 1e9) if step >= least)


def _svg(figure: Figure) -> str:
    out = StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' width="[\d.]+pt"| height="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([^;\"]*?)'?sans-serif'?", r"font: \1inherit", text)
    return text.replace(INK, "var(--ink)").replace(GRID, "var(--grid)")
