"""Who may talk to the API server: one token and one kubeconfig a component, and one for the user."""

import base64
import dataclasses
import secrets
from pathlib import Path
from typing import Any

import yaml

from presage_sandbox.layout import Layout

NODE_NAME = "presage"


@dataclasses.dataclass(frozen=True)
class Identity:
    """A user of the API server and its groups; `name` names its kubeconfig."""

    name: str
    user: str
    groups: tuple[str, ...] = ()


ADMIN = Identity("admin", "admin", ("system:masters",))
IDENTITIES = (
    ADMIN,
    Identity("controller-manager", "system:kube-controller-manager"),
    Identity("scheduler", "system:kube-scheduler"),
    Identity("prometheus", "presage:prometheus"),
    Identity("kubelet", f"system:node:{NODE_NAME}", ("system:nodes",)),
    Identity("kube-proxy", "system:kube-proxy"),
    Identity("coredns", "presage:coredns"),
)


def write_identities(layout: Layout) -> None:
    """Write STATE/tokens.csv, STATE/kubeconfigs/NAME.kubeconfig for each, and STATE/kubeconfig."""
    authority = (layout.certificates / "ca.crt").read_bytes()
    layout.kubeconfigs.mkdir(exist_ok=True, mode=0o700)
    rows = []
    for each in IDENTITIES:
        token = secrets.token_urlsafe(32)
        groups = ",".join(each.groups)
        rows.append(f'{token},{each.user},{each.user},"{groups}"\n')
        _write(layout.kubeconfigs / f"{each.name}.kubeconfig", layout.apiserver_url, authority, token)
        if each is ADMIN:
            _write(layout.kubeconfig, layout.published_apiserver_url, authority, token)
    _write_secret(layout.state / "tokens.csv", "".join(rows))


def _write(path: Path, server: str, authority: bytes, token: str) -> None:
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "presage-sandbox",
        "clusters": [
            {
                "name": "presage-sandbox",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": "presage-sandbox", "user": {"token": token}}],
        "contexts": [
            {"name": "presage-sandbox", "context": {"cluster": "presage-sandbox", "user": "presage-sandbox"}}
        ],
    }
    _write_secret(path, yaml.safe_dump(config, sort_keys=False))


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
