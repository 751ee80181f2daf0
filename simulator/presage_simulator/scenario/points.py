"""Grids and sweeps: one document, many settings of some of its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from presage_simulator.scenario.part import ScenarioError


@dataclass(frozen=True)
class Point:
    """One setting: values by dotted field."""

    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        """A short name: the last part of each field and its value."""
        return ",".join(f"{path.rsplit('.', 1)[-1]}={_told(value)}" for path, value in self.values.items())

    def applied(self, document: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return the document with the values set. Raises ScenarioError for a field that leads nowhere."""
        changed: dict[str, Any] = _copied(document)
        for path, value in self.values.items():
            _set(changed, path.split("."), value, f"{where}.{path}")
        return changed


def points_of(grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | None) -> tuple[Point, ...]:
    """Return every point: all combinations of a mapping of lists, or the listed ones; none without a grid."""
    if grid is None:
        return ()
    if isinstance(grid, Mapping):
        return tuple(Point(dict(zip(grid, values, strict=True))) for values in product(*grid.values()))
    return tuple(Point(dict(point)) for point in grid)


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return "/".join(str(each) for each in value.values())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _copied(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _copied(value) for key, value in node.items()}
    return [_copied(each) for each in node] if isinstance(node, list | tuple) else node


def _set(node: Any, steps: list[str], value: Any, where: str) -> None:
    """Set one value; a step into a list is the `name` of an item or its number."""
    for step in steps[:-1]:
        node = _item(node, step, where) if isinstance(node, list) else node.setdefault(step, {})
        if not isinstance(node, dict | list):
            raise ScenarioError(f"{where}: {step} is {node!r}, not a mapping; name a field within one")
    if isinstance(node, list):
        raise ScenarioError(f"{where}: name a field of an item, not the item")
    node[steps[-1]] = _copied(value)


def _item(items: list[Any], step: str, where: str) -> Any:
    for index, item in enumerate(items):
        if step in {str(index), item.get("name")}:
            return item
    names = ", ".join(str(item.get("name")) for item in items)
    raise ScenarioError(f"{where}: there is no {step!r}; there are {names}")
