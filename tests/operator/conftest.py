"""Services on a real API server with really scraped load, and objects for the pure tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from operator_world import ScrapedPods, Service
from presage_crds import LLMService
from presage_sandbox.cluster import Cluster


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


@pytest.fixture
def chat(crd: Cluster, namespace: str) -> Iterator[Service]:
    """Give a service `chat` that can be created on the cluster, and sidecars that are scraped."""
    scraped = ScrapedPods(crd.targets_dir / f"{namespace}.json", namespace, "chat")
    scraped.start()
    yield Service(crd, namespace, scraped)
    scraped.stop()
