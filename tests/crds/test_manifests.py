"""Valid manifests are read, malformed ones refused with an error that names the field."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from presage_crds import InvalidObjectError, LLMService

MANIFESTS = Path(__file__).parent / "manifests"
VALID = sorted((MANIFESTS / "valid").glob("*.yaml"))
MALFORMED = sorted((MANIFESTS / "malformed").glob("*.yaml"))


def read(path: Path) -> Any:
    """Return the manifest in the file."""
    return yaml.safe_load(path.read_text())


def test_there_are_enough_manifests() -> None:
    """At least five valid and ten malformed manifests are checked, so that none vanishes unseen."""
    assert len(VALID) >= 5
    assert len(MALFORMED) >= 10


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_is_read(path: Path) -> None:
    """A valid manifest is read, and what it says survives being written out again."""
    manifest = read(path)
    written = LLMService.from_object(manifest).as_object()
    assert contains(written["spec"], manifest["spec"])
    assert LLMService.from_object(written).as_object() == written


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_malformed_is_refused(path: Path) -> None:
    """A malformed manifest is refused, and the error names the field and the fix."""
    manifest = read(path)
    expected = manifest["metadata"]["annotations"]
    with pytest.raises(InvalidObjectError) as caught:
        LLMService.from_object(manifest)
    problems = caught.value.problems
    assert expected["test.presage.dev/field"] in [problem.field for problem in problems]
    assert re.search(expected["test.presage.dev/message"], str(caught.value))
    assert manifest["metadata"]["name"] in str(caught.value)


def contains(whole: Any, part: Any) -> bool:
    """Tell whether everything in `part` stands in `whole`."""
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(contains(a, b) for a, b in zip(whole, part, strict=True))
    return bool(whole == part)
