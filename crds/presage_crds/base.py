"""What every part of the API shares: strict reading, camelCase names, and rules written once.

A rule that crosses fields is stated once, as a `Rule`: its CEL form goes into the
CustomResourceDefinition and is enforced by the API server; its Python form is enforced when an
object is read. Strict reading means that `"3"` is no integer and that an unknown field is an error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    JsonValue,
    PlainSerializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError


@dataclass(frozen=True)
class Rule:
    """A condition over several fields of one object.

    `cel` is the expression for the API server, `holds` the same in Python (None where only the API
    server can tell, as for transitions), `field` the camelCase path of the field at fault (empty: the
    object itself), and `message` says what is wrong and how to mend it.
    """

    cel: str
    message: str
    field: str
    holds: Callable[[Any], bool] | None

    def as_validation(self) -> dict[str, str]:
        """Return the item of `x-kubernetes-validations`."""
        path = (
            {"fieldPath": f".{self.field}"} if self.field and not self.field.startswith("metadata.") else {}
        )
        return {"rule": self.cel, "message": self.message, **path}


class Part(BaseModel):
    """A part of the specification: frozen, strict, no unknown fields."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def obeys_its_rules(self) -> Self:
        """Refuse what breaks a rule; the error carries the field that the rule names."""
        for rule in self.rules:
            if rule.holds is not None and not rule.holds(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message, "field": rule.field})
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema with the rules in their CEL form."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.rules:
            schema["x-kubernetes-validations"] = [rule.as_validation() for rule in cls.rules]
        return schema

    def as_object(self) -> dict[str, Any]:
        """Return the JSON form: camelCase names, unset optional fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Reported(Part):
    """A part of what the operator reports: as strict in types, but unknown fields are passed over.

    An older operator may read a status that a newer one wrote.
    """

    model_config = ConfigDict(extra="ignore")


def list_by(key: str) -> dict[str, JsonValue]:
    """Return the schema extension of a list whose items are told apart by `key`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def _whole_seconds_in_utc(moment: datetime) -> datetime:
    """Return the moment as Kubernetes keeps it: UTC, no fractions of a second."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(microsecond=0)


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


Timestamp = Annotated[
    datetime,
    AfterValidator(_whole_seconds_in_utc),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
]
