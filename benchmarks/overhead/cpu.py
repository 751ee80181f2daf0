"""CPU seconds of a process and its children, and how contended the machine is, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Give user plus system time of the process, all its threads, and its living children."""
    return _own(pid) + sum(cpu_seconds(child) for child in _children(pid))


def cpu_pressure() -> float | None:
    """Give the share (%) of the last minute in which something waited for a CPU; None if unknown."""
    try:
        some = Path("/proc/pressure/cpu").read_text(encoding="ascii").split()
    except OSError:
        return None
    return float(some[2].removeprefix("avg60="))


def _own(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _children(pid: int) -> list[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text(encoding="ascii").split()}
    return sorted(found)
