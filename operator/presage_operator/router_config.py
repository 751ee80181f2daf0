"""The sidecars' configuration, written as a ConfigMap that dies with its LLMService."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from presage_crds import LLMService

    from presage_operator.kube import Object

KEY = "router.yaml"


def config_map_name(service: str) -> str:
    """Name of the ConfigMap of a service."""
    return f"presage-router-{service}"


def router_settings(service: LLMService) -> dict[str, Any]:
    """Return what `presage router --config` reads (docs/architecture.md, "Sidecar configuration")."""
    spec, routing = service.spec, service.spec.routing
    return {
        "service": service.metadata.name,
        "namespace": service.metadata.namespace,
        "model": spec.model,
        "policy": routing.policy.value,
        "bids": routing.bids,
        "predictor": routing.predictor.value,
        "objectives": spec.objectives.as_object(),
        "profile": spec.pools[0].engine_profile,
        "queue": routing.queue.as_object(),
        "timeouts": routing.timeouts.as_object(),
        "maxBodyBytes": routing.max_body_bytes,
    }


def config_map(service: LLMService) -> Object:
    """Return the whole ConfigMap, ready to be applied."""
    name, namespace = service.metadata.name, service.metadata.namespace
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(name),
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "presage-operator", "presage.dev/service": name},
            "ownerReferences": [service.reference()],
        },
        "data": {KEY: yaml.safe_dump(router_settings(service), sort_keys=False)},
    }


def config_map_path(namespace: str, service: str) -> str:
    """Where the ConfigMap is."""
    return f"/api/v1/namespaces/{namespace}/configmaps/{config_map_name(service)}"
