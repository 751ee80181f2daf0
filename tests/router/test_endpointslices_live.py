"""Peers from a real API server: with a service account's rights, through changes and a restart."""

import asyncio
import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from presage_router.peers.endpointslices import ApiServer, EndpointSlicePeers
from presage_router.peers.table import PeerTable
from presage_sandbox.cluster import Cluster

pytestmark = pytest.mark.cluster

RIGHTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: sidecar}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sidecar}
rules:
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sidecar}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sidecar}
subjects: [{kind: ServiceAccount, name: sidecar}]
"""


def endpoint_slice(*addresses: str, ready: bool = True) -> str:
    """Return the manifest of an EndpointSlice of the Service `chat`."""
    return json.dumps(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "chat-1", "labels": {"kubernetes.io/service-name": "chat"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}],
            "endpoints": [{"addresses": [a], "conditions": {"ready": ready}} for a in addresses],
        }
    )


def api_server(cluster: Cluster, namespace: str, folder: Path) -> ApiServer:
    """Return the API server as a pod of the service account would know it."""
    cluster.kube("apply", "-n", namespace, "-f", "-", stdin=RIGHTS)
    token = folder / "token"
    token.write_text(cluster.kube("create", "token", "sidecar", "-n", namespace))
    entry = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    ca = folder / "ca.crt"
    if "certificate-authority-data" in entry:
        ca.write_bytes(base64.b64decode(entry["certificate-authority-data"]))
    else:
        ca.write_bytes(Path(entry["certificate-authority"]).read_bytes())
    return ApiServer(entry["server"], token, ca)


async def test_peers_follow_a_real_service(
    cluster: Cluster, namespace: str, tmp_path: Path, eventually: Any
) -> None:
    """Endpoints that come, lose readiness and go are followed, also past a restart of the API server."""

    async def apply(manifest: str) -> None:
        await asyncio.to_thread(cluster.kube, "apply", "-n", namespace, "-f", "-", stdin=manifest)

    def ids() -> list[str]:
        return sorted(peer.id for peer in table.others)

    table = PeerTable("10.1.0.1:8100")
    api = await asyncio.to_thread(api_server, cluster, namespace, tmp_path)
    task = asyncio.ensure_future(EndpointSlicePeers(api, namespace, "chat", 8100, table).run())
    try:
        await apply(endpoint_slice("10.1.0.1", "10.1.0.2", "10.1.0.3"))
        await eventually(lambda: ids() == ["10.1.0.2:8100", "10.1.0.3:8100"], 10)
        await apply(endpoint_slice("10.1.0.1", "10.1.0.3"))
        await eventually(lambda: ids() == ["10.1.0.3:8100"], 10)
        await asyncio.to_thread(cluster.restart, "kube-apiserver")
        assert ids() == ["10.1.0.3:8100"]
        await apply(endpoint_slice("10.1.0.1", "10.1.0.4"))
        await eventually(lambda: ids() == ["10.1.0.4:8100"], 30)
        await apply(endpoint_slice("10.1.0.4", ready=False))
        await eventually(lambda: ids() == [], 10)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
