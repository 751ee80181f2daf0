"""Services on a real API server with really scraped load, and objects for the pure tests."""

from collections.abc import Callable
from typing import Any

import pytest
from operator_world import chat
from presage_crds import LLMService

__all__ = ["chat"]  # a fixture that tests here use


@pytest.fixture
def service_object() -> Callable[..., dict[str, Any]]:
    """Make LLMService objects as the API serves them; `scaling` overrides fields of spec.scaling."""

    def make(replicas: int | None = None, **scaling: Any) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "model": "llama",
            "pools": [
                {"name": "main", "scaleTargetRef": {"name": "chat"}, "minReplicas": 2, "maxReplicas": 8}
            ],
            "scaling": {"mode": "Auto", **scaling},
            "metrics": {"prometheus": {"address": "http://prometheus:9090"}},
        }
        if replicas is not None:
            spec["replicas"] = replicas
        return {
            "apiVersion": "presage.dev/v1alpha1",
            "kind": "LLMService",
            "metadata": {"name": "chat", "namespace": "prod", "uid": "u-1", "generation": 3},
            "spec": spec,
        }

    return make


@pytest.fixture
def service(service_object: Callable[..., dict[str, Any]]) -> LLMService:
    """Give a service with every default."""
    return LLMService.from_object(service_object())
