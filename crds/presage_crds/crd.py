"""The CustomResourceDefinition: the models' schema, and how `kubectl` shows and scales the object."""

from typing import Any

import yaml

from presage_crds import names
from presage_crds.schema import structural_schema
from presage_crds.service import LLMService

COLUMNS: tuple[tuple[str, str, str, str, int], ...] = (
    ("Model", "string", ".spec.model", "Model that is served", 0),
    ("Mode", "string", ".spec.scaling.mode", "Who writes replicas", 0),
    ("Current", "integer", ".status.replicas", "Replicas that the target has been asked for", 0),
    ("Desired", "integer", ".status.desiredReplicas", "Replicas that the last decision calls for", 0),
    ("Ready", "integer", ".status.readyReplicas", "Pods that are ready", 0),
    ("Forecast", "integer", ".status.forecast.tokensPerSecond", "Forecast tokens per second", 0),
    ("Reason", "string", ".status.pools[0].reason", "Why that many", 0),
    ("Forecaster", "string", ".status.forecast.model", "Forecaster that served", 1),
    ("Message", "string", ".status.pools[0].message", "Why that many, in words and figures", 1),
    ("Age", "date", ".metadata.creationTimestamp", "", 0),
)
"""Name, type, path, description, priority (1: only with `-o wide`) of each printer column."""


def custom_resource_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of LLMService."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names.CRD_NAME},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": names.LIST_KIND,
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": list(names.SHORT_NAMES),
                "categories": list(names.CATEGORIES),
            },
            "versions": [_version()],
        },
    }


class _PlainDumper(yaml.SafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the base class's signature
        """Write every occurrence out."""
        return True


def crd_yaml() -> str:
    """Return the CustomResourceDefinition as YAML."""
    return yaml.dump(
        custom_resource_definition(), Dumper=_PlainDumper, sort_keys=False, width=110, allow_unicode=True
    )


def _version() -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(*column) for column in COLUMNS],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _root_schema()},
    }


def _column(name: str, type_: str, path: str, description: str, priority: int) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": type_, "jsonPath": path}
    if description:
        column["description"] = description
    if priority:
        column["priority"] = priority
    return column


def _root_schema() -> dict[str, Any]:
    """Return the schema of the whole object; the API server knows the metadata itself."""
    schema = structural_schema(LLMService)
    schema["properties"] |= {
        "apiVersion": {"type": "string", "description": f"`{names.API_VERSION}`."},
        "kind": {"type": "string", "description": f"`{names.KIND}`."},
        "metadata": {"type": "object"},
    }
    del schema["properties"]["status"]["default"]
    schema["required"] = ["spec"]
    return schema
