"""The pods of a target, and how long they took to become ready."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from presage_operator.kube import KubeApi, Object

RECENT_PODS = 20
PERCENTILE = 0.9


@dataclass(frozen=True)
class Pod:
    """What scaling needs to know of a pod; times are unix seconds."""

    uid: str
    name: str
    created: float
    ready_since: float | None  # None: not ready
    terminating: bool
    restarts: int

    @property
    def ready(self) -> bool:
        """Whether it serves."""
        return self.ready_since is not None and not self.terminating


@dataclass
class ColdStarts:
    """Seconds from creation to readiness of recent pods, each measured when first seen ready.

    A later loss of readiness moves the pod's own timestamp, so what was seen first is kept. After a
    restart of the operator the pods that still run are read again; `remembered` (from the status)
    bridges the time without any.
    """

    remembered: float | None = None
    _seen: dict[str, tuple[float, float]] = field(default_factory=dict)  # uid -> (created, seconds)

    def look(self, pods: Iterable[Pod]) -> None:
        """Measure pods that are ready for the first time; a pod that restarted tells nothing."""
        for pod in pods:
            if pod.uid in self._seen or pod.ready_since is None or pod.restarts:
                continue
            self._seen[pod.uid] = (pod.created, max(0.0, pod.ready_since - pod.created))
        newest = sorted(self._seen.items(), key=lambda item: item[1], reverse=True)[:RECENT_PODS]
        self._seen = dict(newest)

    @property
    def seconds(self) -> float | None:
        """P90 (nearest rank) over recent pods; None when none was ever measured."""
        if not self._seen:
            return self.remembered
        ordered = sorted(seconds for _, seconds in self._seen.values())
        return ordered[math.ceil(PERCENTILE * len(ordered)) - 1]


async def read_pods(api: KubeApi, namespace: str, selector: str) -> list[Pod]:
    """Read the live pods that a selector names. Raises `ApiError`."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    # resourceVersion 0: from the server's cache, as every controller reads.
    found = await api.list(path, labelSelector=selector, resourceVersion="0")
    return [
        pod_of(item) for item in found if item.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]


def pod_of(item: Object) -> Pod:
    """Read one pod as the API serves it."""
    metadata, status = item["metadata"], item.get("status", {})
    return Pod(
        uid=str(metadata["uid"]),
        name=str(metadata["name"]),
        created=unix(metadata["creationTimestamp"]),
        ready_since=_ready_since(status),
        terminating="deletionTimestamp" in metadata,
        restarts=sum(int(c.get("restartCount", 0)) for c in status.get("containerStatuses") or []),
    )


def unix(stamp: Any) -> float:
    """Return the unix time of an RFC 3339 stamp."""
    return datetime.fromisoformat(str(stamp)).timestamp()


def _ready_since(status: Object) -> float | None:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            return unix(condition["lastTransitionTime"])
    return None
