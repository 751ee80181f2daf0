"""The end of a run in a few lines of text: the figures of both services side by side."""

from typing import Any

from presage_cli.demo.report import FIGURES, shown

LABEL_WIDTH, CELL_WIDTH, GAP = 32, 14, 2


def summary(document: dict[str, Any]) -> str:
    """Lay the figures of `result.json` out as a table."""
    names = [service["name"] for service in document["plan"]["services"]]
    width = max(CELL_WIDTH, *(len(name) + GAP for name in names))
    rows = [("", names)]
    rows += [(label, [shown(document[name][key], form) for name in names]) for key, label, form in FIGURES]
    return "\n".join(
        f"{label:<{LABEL_WIDTH}}" + "".join(f"{cell:>{width}}" for cell in cells) for label, cells in rows
    )
