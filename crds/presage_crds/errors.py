"""What is wrong with an object, in a form that a user can act on: field, value, fix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Problem:
    """One thing wrong: `field` as a path such as `spec.pools[0].maxReplicas`, its `value`, the `fix`."""

    field: str
    value: Any
    fix: str

    def __str__(self) -> str:
        """Return one line: field, value, fix."""
        shown = "" if self.value is None else f" is {_shorten(self.value)}"
        return f"{self.field}{shown}: {self.fix}"


class InvalidObjectError(ValueError):
    """An object that the API refuses; `problems` lists everything that is wrong with it."""

    def __init__(self, subject: str, problems: Sequence[Problem]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        super().__init__(f"{subject} is invalid: " + "; ".join(str(problem) for problem in self.problems))


def problems_of(error: ValidationError) -> list[Problem]:
    """Translate pydantic's findings into problems that name field, value and fix."""
    findings = error.errors(include_url=False)
    return [_problem(finding) for finding in findings if not _follows_from_another(finding, findings)]


def _follows_from_another(finding: Any, findings: Sequence[Any]) -> bool:
    """Tell whether a list is called too short only because an item of it was refused."""
    place = finding["loc"]
    return finding["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in findings
    )


def _problem(finding: Any) -> Problem:
    location = tuple(finding["loc"])
    context = finding.get("ctx", {})
    kind = finding["type"]
    if kind == "rule":
        return Problem(_path((*location, context["field"])), None, context["message"])
    if kind == "missing":
        return Problem(_path(location), None, "required; add it")
    if kind == "extra_forbidden":
        return Problem(_path(location), finding["input"], "unknown field; remove it or mend its spelling")
    return Problem(_path(location), finding["input"], _fix(kind, context, finding["msg"]))


def _fix(kind: str, context: dict[str, Any], message: str) -> str:
    """Return what to write instead; pydantic's own words where they already say it."""
    fixes = {
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "enum": "must be one of {expected}",
        "string_pattern_mismatch": "must match {pattern}",
        "string_too_short": "must have at least {min_length} characters",
        "string_too_long": "must have at most {max_length} characters",
        "too_short": "must have at least {min_length} items",
        "too_long": "must have at most {max_length} items",
        "int_type": "must be a whole number, without quotes",
        "int_from_float": "must be a whole number",
        "string_type": "must be a string",
    }
    template = fixes.get(kind)
    return template.format(**context) if template else message[:1].lower() + message[1:]


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".") or "object"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
