"""Draws the report's charts as inline SVG: axes, lines, steps, areas; colours come from the page's CSS.

No script and no library, so the report opens anywhere, prints, and follows light and dark mode.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 12.0, 12.0, 34.0


@dataclass(frozen=True)
class Axis:
    """One axis: its range, where its ticks stand, how they read, and whether it is logarithmic."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str
    text: Callable[[float], str] = lambda value: f"{value:g}"
    log: bool = False

    def place(self, value: float) -> float:
        """Return the place of a value on the axis, 0 to 1, kept within it."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = (math.log(max(each, 1e-9)) for each in (value, low, high))
        return min(1.0, max(0.0, (value - low) / (high - low)))


@dataclass
class Chart:
    """A chart that grows by drawing onto it; `title` is read out by screen readers."""

    title: str
    x: Axis
    y: Axis
    _marks: list[str] = field(default_factory=list)

    def line(self, points: Points, css: str, hint: str = "") -> None:
        """Draw a line through points."""
        if points:
            self._path(self._through(points), f"line {css}", hint)

    def steps(self, points: Points, css: str, hint: str = "") -> None:
        """Draw a line that keeps each value until the next point, to the right edge."""
        if points:
            self._path(self._through(self._stepped(points)), f"line {css}", hint)

    def area(self, points: Points, css: str, hint: str = "") -> None:
        """Fill under a step line down to the axis."""
        if points:
            stepped = self._stepped(points)
            base = [(stepped[-1][0], self.y.low), (stepped[0][0], self.y.low)]
            self._path(self._through([*stepped, *base]) + "Z", f"area {css}", hint)

    def between(self, lower: Points, upper: Points, css: str, hint: str = "") -> None:
        """Fill between two step lines with the same x values wherever `upper` is above `lower`."""
        ends = [*(x for x, _ in lower[1:]), self.x.high]
        for (x, low), (_, high), end in zip(lower, upper, ends, strict=True):
            if high > low:
                box = [(x, low), (end, low), (end, high), (x, high)]
                self._path(self._through(box) + "Z", f"area {css}", hint)

    def rule(self, value: float, css: str, text: str) -> None:
        """Draw a horizontal rule with a word on it."""
        y = self._y(value)
        self._marks.append(
            f'<line class="rule {css}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            + _text(text, f"note {css}", WIDTH - RIGHT - 4, y - 4, "end")
        )

    def upright(self, value: float, css: str, text: str) -> None:
        """Draw a vertical rule with a word on it."""
        x = self._x(value)
        near_edge = x > WIDTH * 0.8
        anchor = "end" if near_edge else "start"
        self._marks.append(
            f'<line class="rule {css}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            + _text(text, f"note {css}", x - 4 if near_edge else x + 4, HEIGHT - BOTTOM - 6, anchor)
        )

    def dots(self, points: Points, css: str, hint: Callable[[float, float], str]) -> None:
        """Draw a dot at each point; its hint shows on hover."""
        self._marks.extend(
            f'<circle class="dot {css}" cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="3">'
            f"<title>{escape(hint(x, y))}</title></circle>"
            for x, y in points
        )

    def svg(self) -> str:
        """Return the whole chart."""
        return (
            f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(self.title)}">'
            f"{self._grid()}{''.join(self._marks)}</svg>"
        )

    def _grid(self) -> str:
        parts = []
        for tick in self.y.ticks:
            y = self._y(tick)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                + _text(self.y.text(tick), "tick", LEFT - 6, y + 4, "end")
            )
        parts += [
            _text(self.x.text(tick), "tick", self._x(tick), HEIGHT - BOTTOM + 16, "middle")
            for tick in self.x.ticks
        ]
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(
            _text(self.x.label, "axis", middle, HEIGHT - 3, "middle")
            + f'<text class="axis" transform="translate(11 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.label)}</text>'
        )
        return "".join(parts)

    def _path(self, path: str, css: str, hint: str) -> None:
        title = f"<title>{escape(hint)}</title>" if hint else ""
        self._marks.append(f'<path class="{css}" d="{path}">{title}</path>')

    def _through(self, points: Points) -> str:
        return "M" + "L".join(f"{self._x(x):.1f} {self._y(y):.1f}" for x, y in points)

    def _stepped(self, points: Points) -> list[tuple[float, float]]:
        corners = [points[0]]
        for (_, before), (x, after) in pairwise(points):
            corners += [(x, before), (x, after)]
        return [*corners, (self.x.high, points[-1][1])]

    def _x(self, value: float) -> float:
        return LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)


def _text(text: str, css: str, x: float, y: float, anchor: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def nice_ticks(high: float, wanted: int = 5) -> list[float]:
    """Return round ticks from 0 to at least `high`, about `wanted` of them."""
    rough = max(high, 1e-9) / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [index * step for index in range(math.ceil(high / step - 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return 1-2-5 ticks of a logarithmic axis within [low, high]."""
    ticks = [
        10.0**power * factor
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
    ]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
