"""The generated schema is structural, documented, bounded, and the files made from it are up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from presage_cli.main import app
from presage_crds.artifacts import CHART_TEMPLATE, MANIFEST, REFERENCE, artifacts
from presage_crds.crd import custom_resource_definition
from presage_crds.schema import structural_schema
from pydantic import BaseModel
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
VERSION = custom_resource_definition()["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def nodes(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every node of the schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(f"{path}.{name}", child)
    if "items" in schema:
        yield from nodes(f"{path}[]", schema["items"])


NODES = dict(
    nodes("", {"type": "object", "properties": {k: SCHEMA["properties"][k] for k in ("spec", "status")}})
)
DECLARED = {path: node for path, node in NODES.items() if path}


def test_every_field_is_described() -> None:
    """No field of the specification or the status lacks a description."""
    bare = [path for path, node in DECLARED.items() if not node.get("description") and "[]" not in path[-2:]]
    assert bare == []


def test_every_field_is_bounded() -> None:
    """Every number, text and list has an upper bound (times and generations are bounded by their format)."""
    bound = {"integer": "maximum", "string": "maxLength", "array": "maxItems"}
    free = [
        path
        for path, node in DECLARED.items()
        if node["type"] in bound
        and bound[node["type"]] not in node
        and "enum" not in node
        and node.get("format") != "date-time"
        and not path.endswith("observedGeneration")
    ]
    assert free == []


def test_optional_specification_fields_have_defaults() -> None:
    """An optional field of the specification has a default, but for those whose absence has a meaning."""
    absent_means_something = {
        ".spec.scaling.fallback",
        ".spec.scaling.external",
        ".spec.scaling.forecast.horizonSeconds",
        ".spec.routing.serviceName",
    }
    missing = {
        f"{path}.{name}"
        for path, node in DECLARED.items()
        if path.startswith(".spec")
        for name, child in node.get("properties", {}).items()
        if "default" not in child and name not in node.get("required", [])
    }
    assert missing == absent_means_something


def test_there_are_no_floats() -> None:
    """No field is a fraction: units stand in the names instead."""
    assert {node["type"] for node in DECLARED.values()} <= {"object", "array", "string", "integer"}


def test_lists_say_how_they_merge() -> None:
    """Each list is a map by its key or atomic, so that server-side apply merges it as meant."""
    kinds = {
        path: node.get("x-kubernetes-list-type") for path, node in DECLARED.items() if node["type"] == "array"
    }
    assert kinds[".spec.pools"] == "map"
    assert kinds[".status.conditions"] == "map"
    assert set(kinds.values()) <= {"map", "atomic"}


def test_objects_without_one_schema_are_refused() -> None:
    """A field that may be of two types cannot be said in a structural schema and is refused."""

    class Either(BaseModel):
        field: int | str

    with pytest.raises(TypeError, match="structural schema cannot say"):
        structural_schema(Either)


def test_scale_reads_what_the_operator_writes() -> None:
    """The scale subresource's paths name fields that exist."""
    scale = VERSION["subresources"]["scale"]
    assert {scale["specReplicasPath"], scale["statusReplicasPath"], scale["labelSelectorPath"]} <= set(NODES)


def test_columns_name_existing_fields() -> None:
    """Each printer column reads a field that exists, and the columns are the documented ones."""
    columns = VERSION["additionalPrinterColumns"]
    shown = [column["name"].upper() for column in columns if not column.get("priority")]
    assert shown == ["MODEL", "MODE", "CURRENT", "DESIRED", "READY", "FORECAST", "REASON", "AGE"]
    paths = {column["jsonPath"].replace("[0]", "[]") for column in columns}
    assert paths - set(NODES) == {".metadata.creationTimestamp"}


def test_generated_files_are_up_to_date() -> None:
    """The CRD, the chart's copy and the reference page are what the models give."""
    stale = [str(path) for path, text in artifacts().items() if (ROOT / path).read_text() != text]
    assert stale == [], "run `presage crds`"


def test_the_manifest_is_the_definition() -> None:
    """The written manifest parses to the very definition."""
    assert yaml.safe_load((ROOT / MANIFEST).read_text()) == custom_resource_definition()


def test_the_reference_names_every_field() -> None:
    """The reference page has a row for each field and a line for each rule."""
    page = (ROOT / REFERENCE).read_text()
    for path in DECLARED:
        name = path.rsplit(".", 1)[1].removesuffix("[]")
        assert f"| `{name}` |" in page or f"## `{name}`" in page, path
    for node in (SCHEMA, *DECLARED.values()):
        for rule in node.get("x-kubernetes-validations", []):
            if rule["rule"] != "self == oldSelf":
                assert rule["message"] in page


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    """`presage crds` writes all files, then finds them up to date, then notices one that was changed."""
    (tmp_path / "crds" / "presage_crds").mkdir(parents=True)
    run = CliRunner().invoke
    assert run(app, ["crds", "--root", str(tmp_path), "--check"]).exit_code == 1
    assert run(app, ["crds", "--root", str(tmp_path)]).exit_code == 0
    assert run(app, ["crds", "--root", str(tmp_path), "--check"]).exit_code == 0
    (tmp_path / CHART_TEMPLATE).write_text("changed")
    changed = run(app, ["crds", "--root", str(tmp_path), "--check"])
    assert changed.exit_code == 1
    assert "crd.yaml is out of date" in changed.output


def test_the_command_prints_the_definition() -> None:
    """`presage crds --out -` prints the CRD, ready for `kubectl apply -f -`."""
    printed = CliRunner().invoke(app, ["crds", "--out", "-"])
    assert yaml.safe_load(printed.stdout) == custom_resource_definition()


def test_the_command_refuses_a_wrong_place(tmp_path: Path) -> None:
    """Outside the source tree the command says so instead of scattering files."""
    outside = CliRunner().invoke(app, ["crds", "--root", str(tmp_path)])
    assert outside.exit_code == 2
    assert list(tmp_path.iterdir()) == []
