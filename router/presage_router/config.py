"""The sidecar's configuration file: checked with errors that name field, value and fix.

The operator writes this file and may rewrite it at any time, so every key has one spelling, a bound
and a default; `docs/architecture.md` shows it whole.
"""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from presage_policies.objectives import Objectives
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

PolicyName = Literal["LeastBid", "RoundRobin", "LeastRequest", "PrefixTokenLoad"]
_FIXED_AT_START = ("service", "namespace")  # they label every metric series


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names field, value and fix."""


class _Section(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class ObjectivesConfig(_Section):
    """What a request should meet, in milliseconds."""

    ttft_milliseconds: int = Field(1000, ge=1, le=3_600_000)
    tpot_milliseconds: int = Field(50, ge=1, le=60_000)
    percentile: float = Field(99, gt=0, lt=100)

    def objectives(self) -> Objectives:
        """Return the same in seconds, as the brain reads it."""
        return Objectives(self.ttft_milliseconds / 1000, self.tpot_milliseconds / 1000, self.percentile)


class QueueConfig(_Section):
    """How many requests may wait at this front, and for how long."""

    max_requests: int = Field(256, ge=0, le=100_000)
    max_wait_seconds: float = Field(60, gt=0, le=3600)


class TimeoutsConfig(_Section):
    """Every wait on the request path has an end, in seconds."""

    connect_seconds: float = Field(2, gt=0, le=60)
    first_byte_seconds: float = Field(120, gt=0, le=3600)
    idle_seconds: float = Field(60, gt=0, le=3600)
    answer_seconds: float = Field(600, gt=0, le=86_400)  # a whole answer that does not stream
    drain_seconds: float = Field(300, ge=0, le=86_400)
    linger_seconds: float = Field(5, ge=0, le=300)  # a drain lasts at least this long: endpoints lag


class RouterConfig(_Section):
    """One sidecar's configuration. Raises ConfigError (through `parse`) naming field, value and fix."""

    service: str = Field(min_length=1, max_length=253)
    namespace: str = Field("default", min_length=1, max_length=63)
    model: str = Field("", max_length=512)
    policy: PolicyName = "LeastBid"
    bids: int = Field(3, ge=1, le=64)
    bid_milliseconds: int = Field(100, ge=1, le=10_000)
    predictor: str = Field("History", min_length=1, max_length=63)
    objectives: ObjectivesConfig = ObjectivesConfig()
    profile: str = Field("rtx4090-llama-3.1-8b", min_length=1)
    queue: QueueConfig = QueueConfig()
    timeouts: TimeoutsConfig = TimeoutsConfig()
    max_body_bytes: int = Field(4_194_304, ge=1024, le=1_073_741_824)
    predictor_learns: bool = True  # from the lengths of finished responses
    engine_priority: bool = False  # the engine runs with --scheduling-policy priority

    @classmethod
    def parse(cls, text: str, origin: str) -> Self:
        """Read YAML or JSON text; `origin` names it in errors. Raises ConfigError."""
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{origin} is not YAML: {error}") from error
        if not isinstance(document, dict):
            raise ConfigError(
                f"{origin} holds {type(document).__name__}: give a mapping with the key 'service'"
            )
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise ConfigError(_explain(error, origin)) from error

    def check_successor(self, successor: "RouterConfig") -> None:
        """Refuse a reload that changes what is fixed at start. Raises ConfigError."""
        for field in _FIXED_AT_START:
            ours, theirs = getattr(self, field), getattr(successor, field)
            if ours != theirs:
                raise ConfigError(
                    f"{field} changed from {ours!r} to {theirs!r}: restart the sidecar to change it"
                )


def load_config(path: Path) -> RouterConfig:
    """Read a configuration file. Raises ConfigError naming the file, the field, the value and the fix."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return RouterConfig.parse(text, str(path))


def _explain(error: ValidationError, origin: str) -> str:
    problems = []
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            problems.append(f"{field}: no such key; remove it or correct its spelling")
        elif item["type"] == "missing":
            problems.append(f"{field}: missing; add it")
        else:
            problems.append(f"{field}: {_shown(item['input'])} is refused; {item['msg']}")
    return f"{origin}: " + "; ".join(problems)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - a line's worth
