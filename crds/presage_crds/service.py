"""The LLMService itself, read from the API."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError

from presage_crds.base import Part, Reported, Rule, Timestamp
from presage_crds.errors import InvalidObjectError, Problem, problems_of
from presage_crds.names import API_VERSION, KIND, PLURAL, SERVICE_LABEL
from presage_crds.spec import LLMServiceSpec
from presage_crds.status import LLMServiceStatus


class Metadata(Reported):
    """The object metadata that the operator needs."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None


class LLMService(Part):
    """A large language model, served ahead of demand."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
            message=f"metadata.name must have at most 63 characters and no dot, since it is the value of the"
            f" pods' label {SERVICE_LABEL}; choose a shorter name",
            field="metadata.name",
            holds=None,  # the pattern of Metadata.name says the same
        ),
    )

    api_version: Literal["presage.dev/v1alpha1"] = "presage.dev/v1alpha1"
    kind: Literal["LLMService"] = "LLMService"
    metadata: Metadata
    spec: LLMServiceSpec
    """Desired state."""

    status: LLMServiceStatus = LLMServiceStatus()
    """Observed state, written by the operator."""

    @classmethod
    def from_object(cls, raw: Mapping[str, Any]) -> Self:
        """Read an object as the API serves it.

        Raises InvalidObjectError, which names every field at fault, its value, and the fix.
        """
        subject = _subject(raw)
        try:
            text = json.dumps(raw, default=str)
        except (TypeError, ValueError) as error:
            raise InvalidObjectError(subject, [Problem("object", None, f"must be JSON: {error}")]) from error
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidObjectError(subject, problems_of(error)) from error

    @property
    def service_name(self) -> str:
        """Name of the Service whose endpoints are the sidecars."""
        return self.spec.routing.service_name or self.metadata.name

    def reference(self) -> dict[str, Any]:
        """Return an ownerReference to this object, for what the operator creates on its behalf."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.metadata.name,
            "uid": self.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }


def _subject(raw: Mapping[str, Any]) -> str:
    metadata = raw.get("metadata") if isinstance(raw, Mapping) else None
    found = metadata if isinstance(metadata, Mapping) else {}
    return f"{PLURAL} {found.get('namespace', 'default')}/{found.get('name', '?')}"
