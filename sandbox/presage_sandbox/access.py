"""What the sandbox's own components may read in the API, beyond the roles that Kubernetes ships."""

import ssl
from typing import Any

import httpx
import yaml

from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import Layout

RBAC = "rbac.authorization.k8s.io"
READ = ["get", "list", "watch"]
ROLES: dict[str, list[dict[str, Any]]] = {
    "presage:prometheus": [
        {"apiGroups": [""], "resources": ["pods", "services", "nodes", "endpoints"], "verbs": READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    ],
    "presage:coredns": [
        {"apiGroups": [""], "resources": ["services", "namespaces", "pods", "endpoints"], "verbs": READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    ],
}


async def grant_access(layout: Layout) -> None:
    """Write one ClusterRole and its binding to the user of the same name, for each of ROLES."""
    config = yaml.safe_load((layout.kubeconfigs / "admin.kubeconfig").read_text())
    token = config["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cafile=str(layout.certificates / "ca.crt"))
    async with httpx.AsyncClient(
        base_url=f"{layout.apiserver_url}/apis/{RBAC}/v1",
        headers={"authorization": f"Bearer {token}", "content-type": "application/apply-patch+yaml"},
        params={"fieldManager": "presage-sandbox", "force": "true"},
        verify=trust,
        trust_env=False,
    ) as session:
        for name, rules in ROLES.items():
            await _apply(session, "clusterroles", _object("ClusterRole", name, rules=rules))
            reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
            subjects = [{"apiGroup": RBAC, "kind": "User", "name": name}]
            binding = _object("ClusterRoleBinding", name, roleRef=reference, subjects=subjects)
            await _apply(session, "clusterrolebindings", binding)


def _object(kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, **content}


async def _apply(session: httpx.AsyncClient, resource: str, manifest: dict[str, Any]) -> None:
    name = manifest["metadata"]["name"]
    try:
        answer = await session.patch(f"/{resource}/{name}", json=manifest)
    except httpx.HTTPError as error:
        raise SandboxError(f"cannot write {resource}/{name}: {error!r}") from error
    if answer.is_error:
        raise SandboxError(f"cannot write {resource}/{name}: {answer.status_code} {answer.text}")
