"""Services on a real API server with really scraped load, and objects for the pure tests."""

from collections.abc import Callable
from typing import Any

import pytest
from operator_world import chat
from presage_crds import LLMService
from presage_operator.endpoints import Endpoints
from presage_operator.observe import Load, World
from presage_operator.targets import Target
from presage_policies.forecasting import TokenSeries

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


@pytest.fixture
def bare_world() -> Callable[[float], World]:
    """Make what is seen, at a time, of a service with a target and neither pods nor load."""

    def make(now: float) -> World:
        return World(
            now=now,
            target=Target("/scale", 1, "app=chat", "1"),
            pods=(),
            endpoints=Endpoints(known=0, ready=0),
            load=Load(series=TokenSeries.empty(600.0, now)),
        )

    return make
