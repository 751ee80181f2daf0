"""The end of a run in a few lines of text: the figures of both services side by side."""

from typing import Any

from presage_cli.demo.report import FIGURES, shown

LABEL_WIDTH, CELL_WIDTH = 32, 14


def summary(document: dict[str, Any]) -> str:
    """Lay the figures of `result.json` out as a table."""
    names = [service["name"] for service in document["plan"]["services"]]
    rows = [_row("", names)]
    rows += [
        _row(label, [shown(document[name][key], form) for name in names]) for key, label, form in FIGURES
    ]
    return "\n".join(rows)


def _row(label: str, cells: list[str]) -> str:
    return f"{label:<{LABEL_WIDTH}}" + "".join(f"{cell:>{CELL_WIDTH}}" for cell in cells)
