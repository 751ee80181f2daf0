"""What one operator process is told at start."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path

SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def own_namespace() -> str:
    """Namespace of this pod, else `default`."""
    told = os.environ.get("POD_NAMESPACE")
    if told:
        return told
    try:
        return SERVICE_ACCOUNT_NAMESPACE.read_text().strip() or "default"
    except OSError:
        return "default"


def own_identity() -> str:
    """Return a name that no other operator process has, and that says which pod it is."""
    return f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class OperatorSettings:
    """Start-up settings; durations in seconds.

    `namespaces` empty means the whole cluster. `concurrent_passes` bounds how many services are
    looked at in the same moment.
    """

    host: str = "0.0.0.0"  # noqa: S104 - a pod's port is for the cluster
    port: int = 9090
    namespaces: tuple[str, ...] = ()
    lease_namespace: str = field(default_factory=own_namespace)
    lease_name: str = "presage-operator"
    lease_seconds: int = 15
    identity: str = field(default_factory=own_identity)
    concurrent_passes: int = 32
    prometheus_timeout_seconds: float = 10.0
    api_timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.lease_seconds < 3:  # noqa: PLR2004 - renewal and deadline must fit into it
            raise ValueError(f"lease_seconds is {self.lease_seconds}: give 3 or more")
