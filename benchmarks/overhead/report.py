"""Medians over repetitions, their spread, and ratios between routers."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

SGLANG, PRESAGE, DIRECT = "sglang-router", "presage", "direct"
BAR_MS = {"p50": 1.0, "p99": 3.0}  # what learned lengths may add to TTFT at 64 streams at once
LEARNED, UNPREDICTED = "presage, learned lengths", "presage, no prediction"


@dataclass
class Measured:
    """One target's repetitions, in the same order as everybody else's."""

    requests_per_second: list[float] = field(default_factory=list)
    cpu_per_thousand: list[float] = field(default_factory=list)  # s, of the router's processes
    ttft: list[list[float]] = field(default_factory=list)  # s, of each stream
    stream_cpu_per_thousand: list[float] = field(default_factory=list)  # s, streams of the paced part
    failed: int = 0

    @property
    def ttft_p50(self) -> list[float]:
        """The median of each repetition, s."""
        return [quantile(seconds, 0.50) for seconds in self.ttft]

    @property
    def ttft_p99(self) -> list[float]:
        """The 99th percentile of each repetition, s."""
        return [quantile(seconds, 0.99) for seconds in self.ttft]

    def ttft_of_all(self, share: float) -> float:
        """Give a quantile over the streams of all repetitions, s."""
        return quantile([value for seconds in self.ttft for value in seconds], share)


def quantile(values: list[float], share: float) -> float:
    """Give the value that so large a share is at or under (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def spread(values: list[float]) -> dict[str, Any]:
    """Give median, least and most; None without values."""
    if not values:
        return {"median": None, "min": None, "max": None, "all": []}
    return {"median": median(values), "min": min(values), "max": max(values), "all": values}


def added(measured: Measured, direct: Measured, name: str) -> list[float]:
    """Give, per repetition, how much more (s) a target took than the direct path of the same repetition."""
    pairs = zip(getattr(measured, name), getattr(direct, name), strict=True)
    return [mine - base for mine, base in pairs]


def summary(all_measured: dict[str, Measured]) -> dict[str, Any]:
    """Give every target's figures, seconds as milliseconds where the name says so, and the ratios."""
    direct = all_measured[DIRECT]
    targets: dict[str, Any] = {}
    for name, measured in all_measured.items():
        targets[name] = {
            "requests_per_second": spread(measured.requests_per_second),
            "cpu_seconds_per_1000_requests": spread(measured.cpu_per_thousand),
            "cpu_seconds_per_1000_streams": spread(measured.stream_cpu_per_thousand),
            "ttft_p50_ms": spread([1000 * s for s in measured.ttft_p50]),
            "ttft_p99_ms": spread([1000 * s for s in measured.ttft_p99]),
            "added_ttft_p50_ms": spread([1000 * s for s in added(measured, direct, "ttft_p50")]),
            "added_ttft_p99_ms": spread([1000 * s for s in added(measured, direct, "ttft_p99")]),
            "failed": measured.failed,
        }
    return {"targets": targets, "ratios": _ratios(targets)}


def _ratios(targets: dict[str, Any]) -> dict[str, float]:
    if PRESAGE not in targets or SGLANG not in targets:
        return {}
    names = (
        "requests_per_second",
        "cpu_seconds_per_1000_requests",
        "cpu_seconds_per_1000_streams",
        "added_ttft_p50_ms",
        "added_ttft_p99_ms",
    )
    pairs = {name: (targets[PRESAGE][name]["median"], targets[SGLANG][name]["median"]) for name in names}
    return {name: mine / theirs for name, (mine, theirs) in pairs.items() if theirs}


def table(result: dict[str, Any]) -> str:
    """Give the figures as text: median (least to most)."""
    rows = [
        ("requests/s, 64 concurrent", "requests_per_second", "{:,.0f}"),
        ("CPU s per 1,000 requests", "cpu_seconds_per_1000_requests", "{:.3f}"),
        ("CPU s per 1,000 streams", "cpu_seconds_per_1000_streams", "{:.3f}"),
        ("TTFT p50, ms", "ttft_p50_ms", "{:.2f}"),
        ("TTFT p99, ms", "ttft_p99_ms", "{:.2f}"),
        ("added TTFT p50, ms", "added_ttft_p50_ms", "{:.2f}"),
        ("added TTFT p99, ms", "added_ttft_p99_ms", "{:.2f}"),
    ]
    targets = result["targets"]
    lines = [f"{'median (least - most)':28}" + "".join(f"{name:>28}" for name in targets)]
    for title, key, form in rows:
        cells = "".join(f"{_cell(target[key], form):>28}" for target in targets.values())
        lines.append(f"{title:28}{cells}")
    lines.append(f"{'failed':28}" + "".join(f"{target['failed']:>28}" for target in targets.values()))
    lines += [f"presage / sglang-router, {name}: {ratio:.2f}" for name, ratio in result["ratios"].items()]
    return "\n".join(lines)


def prediction(all_measured: dict[str, Measured]) -> dict[str, Any]:
    """Give what learned lengths add (ms, CPU ms a stream) over none and over history, by repetition."""
    on = all_measured.get(LEARNED)
    rows: dict[str, Any] = {}
    for name in (UNPREDICTED, PRESAGE):
        off = all_measured.get(name)
        if on is not None and off is not None:
            rows[name] = {
                "added_ttft_p50_ms": spread([1000 * s for s in added(on, off, "ttft_p50")]),
                "added_ttft_p99_ms": spread([1000 * s for s in added(on, off, "ttft_p99")]),
                "added_cpu_ms_a_stream": spread(added(on, off, "stream_cpu_per_thousand")),
                "added_ttft_ms_of_all_streams": {
                    f"p{100 * share:.0f}": 1000 * (on.ttft_of_all(share) - off.ttft_of_all(share))
                    for share in (0.50, 0.99)
                },
            }
    return rows


def prediction_table(rows: dict[str, Any]) -> str:
    """Give `prediction` as text: median (least to most) over repetitions, and over all streams together."""
    lines = []
    for off, figures in rows.items():
        lines.append(f"{LEARNED} less {off}:")
        names = ("added_ttft_p50_ms", "added_ttft_p99_ms", "added_cpu_ms_a_stream")
        lines += [f"  {name}: {_cell(figures[name], '{:.2f}')}" for name in names]
        together = figures["added_ttft_ms_of_all_streams"].items()
        shown = ", ".join(f"{share} {ms:.2f} (bar {BAR_MS[share]:g})" for share, ms in together)
        lines.append(f"  added TTFT of all streams, ms: {shown}")
    return "\n".join(lines)


def _cell(values: dict[str, Any], form: str) -> str:
    if values["median"] is None:
        return "-"
    middle, least, most = (form.format(values[key]) for key in ("median", "min", "max"))
    return f"{middle} ({least} - {most})"
