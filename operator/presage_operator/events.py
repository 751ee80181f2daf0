"""Kubernetes Events: what `kubectl describe llmsvc` tells of the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from presage_crds import API_VERSION, KIND

from presage_operator.kube import FIELD_MANAGER

if TYPE_CHECKING:
    from presage_crds import LLMService

    from presage_operator.kube import KubeApi, Object

LONGEST_MESSAGE = 1024  # the API's own bound


@dataclass(frozen=True)
class Event:
    """Something that happened to a service."""

    reason: str  # CamelCase
    message: str
    warning: bool = False


def event_object(service: LLMService, event: Event, identity: str, now: float) -> Object:
    """Return the Event as the API takes it."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = service.metadata
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata.name}.", "namespace": metadata.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
        "reason": event.reason,
        "message": event.message[:LONGEST_MESSAGE],
        "type": "Warning" if event.warning else "Normal",
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": identity,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }


async def post(api: KubeApi, service: LLMService, event: Event, identity: str, now: float) -> None:
    """Create the Event. Raises `ApiError`."""
    path = f"/api/v1/namespaces/{service.metadata.namespace}/events"
    await api.create(path, event_object(service, event, identity, now))
