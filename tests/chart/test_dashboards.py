"""The chart's dashboards: every metric they draw is one that operator or sidecar really has."""

import json
import re
from pathlib import Path

import pytest
from presage_operator.metrics import Metrics as OperatorMetrics
from presage_router.metrics import Metrics as RouterMetrics
from prometheus_client import CollectorRegistry

FOLDER = Path(__file__).parents[2] / "charts" / "presage" / "dashboards"


def names_of(registry: CollectorRegistry) -> set[str]:
    """Return the names under which a registry's series are stored by Prometheus."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + suffix for family in registry.collect() for suffix in suffixes.get(family.type, ("",))
    }


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_metric_exists(path: Path) -> None:
    """A panel that asks for a metric nobody has would stay empty for ever."""
    board = json.loads(path.read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"presage_(?:operator|router)_\w+", target["expr"])
    }
    known = names_of(OperatorMetrics().registry) | names_of(RouterMetrics("chat", "default").registry)
    assert asked
    assert asked <= known


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_panel_says_what_it_shows(path: Path) -> None:
    """Panels have a title, a description, a place of their own and an id of their own."""
    panels = json.loads(path.read_text())["panels"]
    assert all(panel["title"] and panel["description"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
