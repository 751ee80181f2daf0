"""What every part of a scenario shares: strict reading, camelCase names, errors that can be acted on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

SHOWN_CHARACTERS = 80

FIXES = {
    "missing": "required; add it",
    "extra_forbidden": "unknown field; remove it or mend its spelling",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "too_short": "must have at least {min_length} items",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number (YAML wants 1.0e-6, not 1e-6)",
    "string_type": "must be a string; put it in quotes",
    "string_pattern_mismatch": "must match {pattern}",
}


class ScenarioError(ValueError):
    """A scenario, or data it names, that cannot be used; the text names the field, the value and the fix."""


class Named(Protocol):
    """A part that others refer to by name."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


N = TypeVar("N", bound=Named)


class Part(BaseModel):
    """A part of a scenario: frozen, strict, closed."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    def as_object(self) -> dict[str, Any]:
        """Return the JSON form: camelCase names, unset optional fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds. Raises ScenarioError that names the file and what is wrong with it."""
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path} is not YAML: {error}") from error


def system_of(systems: Sequence[N], name: str) -> N:
    """Return the system of that name. Raises ScenarioError that lists those there are."""
    for system in systems:
        if system.name == name:
            return system
    raise ScenarioError(f"there is no system {name!r}: there are {', '.join(each.name for each in systems)}")


def problems(error: ValidationError) -> str:
    """Return everything that is wrong, one problem after another: field, value, fix."""
    findings = error.errors(include_url=False)
    return "; ".join(_problem(each) for each in findings if not _follows_from_another(each, findings))


def exactly_one(given: Mapping[str, object]) -> str:
    """Return the name of the one that is given. Raises ValueError that lists the choices."""
    present = [name for name, value in given.items() if value is not None]
    if len(present) != 1:
        told = " and ".join(present) if present else "none of them"
        raise ValueError(f"give exactly one of {', '.join(given)}; given: {told}")
    return present[0]


def _follows_from_another(finding: Any, findings: Sequence[Any]) -> bool:
    """Tell whether a list is called too short only because an item of it was refused."""
    place = finding["loc"]
    return finding["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in findings
    )


def _problem(finding: Any) -> str:
    kind, place = finding["type"], _path(finding["loc"])
    message = finding["msg"].removeprefix("Value error, ")
    fix = FIXES.get(kind, message[:1].lower() + message[1:]).format(**finding.get("ctx", {}))
    if kind in {"missing", "value_error"}:
        return f"{place}: {fix}" if place else fix
    return f"{place} is {_shortened(finding['input'])}: {fix}"


def _path(location: Sequence[int | str]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return text.removeprefix(".")


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
