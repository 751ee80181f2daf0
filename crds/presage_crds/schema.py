"""From pydantic's JSON schema to the structural OpenAPI v3 schema that Kubernetes takes.

A structural schema has no references, no `null` types and no titles. A default stands there in full,
since the API server tries the CEL rules on it before it fills in what nested defaults would add.
"""

from typing import Any

from pydantic import BaseModel

_INT32_MAX = 2**31 - 1
_DROPPED = ("title", "additionalProperties", "$defs")


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of a model, descriptions and CEL rules included."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(raw, raw.get("$defs", {}))


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    merged = _resolved(node, definitions)
    schema = {key: value for key, value in merged.items() if key not in _DROPPED}
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if "default" in schema:
        schema["default"] = _without_nulls(schema["default"])
        if schema["default"] is None:
            del schema["default"]
    if schema["type"] == "object":
        schema["properties"] = {
            name: _structural(child, definitions) for name, child in schema.get("properties", {}).items()
        }
    if schema["type"] == "array":
        schema["items"] = _structural(schema["items"], definitions)
    if schema["type"] == "integer":
        schema["format"] = "int32" if schema.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"
    return schema


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the node with its reference put in its place; what stands beside the reference wins."""
    node = dict(node)
    if "anyOf" in node:
        options = [option for option in node.pop("anyOf") if option.get("type") != "null"]
        if len(options) != 1:
            raise TypeError(f"a structural schema cannot say: one of {options}")
        node = {**options[0], **node}
    if "$ref" in node:
        target = definitions[node.pop("$ref").rsplit("/", 1)[1]]
        return _resolved({**target, **node}, definitions)
    return node
