"""The chart's own pages agree: values, their schema, their documentation, and the generated CRD."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts" / "presage"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
FREE_FORM = ("resources", "labels")  # mappings whose keys are the user's
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of each value that has no further keys by default."""
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in FREE_FORM:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


@pytest.mark.parametrize("path", sorted(leaves(VALUES)))
def test_every_value_is_in_the_schema_and_the_readme(path: str) -> None:
    """Each value is known to the schema, which refuses others, and is told in the README."""
    node = SCHEMA
    for step in path.split("."):
        assert node.get("additionalProperties") is False
        node = node["properties"][step]
    readme = (CHART / "README.md").read_text()
    assert (
        f"`{path}`" in readme
        or f"`{path.rsplit('.', 1)[-1]}`" in readme
        or f"`.{path.rsplit('.', 1)[-1]}`" in readme
    )


@pytest.mark.parametrize("template", sorted(CHART.glob("templates/rbac-*.yaml")), ids=lambda path: path.stem)
def test_every_permission_says_why(template: Path) -> None:
    """Right above each rule stands a comment with its reason."""
    lines = template.read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("- apiGroups:")]
    assert rules
    assert [lines[number] for number in rules if not lines[number - 1].startswith("# ")] == []


def test_no_permission_is_a_wildcard() -> None:
    """No rule grants every verb, resource or group."""
    for template in CHART.glob("templates/rbac-*.yaml"):
        assert not re.search(r"^\s+(verbs|resources|- apiGroups):.*\*", template.read_text(), re.MULTILINE)
