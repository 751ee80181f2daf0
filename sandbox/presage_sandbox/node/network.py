"""The pods' network: a routed link for each pod, and the rules of Services."""

import json
import subprocess
from typing import Any

import yaml

from presage_sandbox.errors import SandboxError
from presage_sandbox.health import answers_ok
from presage_sandbox.identities import NODE_NAME
from presage_sandbox.layout import LOOPBACK, POD_CIDR, SERVICE_CIDR, Layout
from presage_sandbox.node.paths import CNI_CONFIG, HOME
from presage_sandbox.node.requirements import program
from presage_sandbox.program import Program

HEALTH_PORT = 10256


def write_cni_configuration(layout: Layout) -> None:
    """Write the CNI configuration into STATE/node.

    `ptp` rather than `bridge`: everything between pods is routed, so answers of Services come back
    through the same rules without the kernel module br_netfilter, which is global to the machine.
    """
    folder = layout.node / CNI_CONFIG.name
    folder.mkdir(parents=True, exist_ok=True)
    ipam = {"type": "host-local", "subnet": POD_CIDR, "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [{"type": "ptp", "ipMasq": False, "ipam": ipam}]
    text = json.dumps({"cniVersion": "1.0.0", "name": "presage", "plugins": plugins}, indent=2)
    (folder / "10-presage.conflist").write_text(text)


def write_kube_proxy_configuration(layout: Layout) -> None:
    """Write kube-proxy's configuration into STATE/node."""
    (layout.node / "kube-proxy.yaml").write_text(
        yaml.safe_dump(kube_proxy_configuration(layout), sort_keys=False)
    )


def kube_proxy_configuration(layout: Layout) -> dict[str, Any]:
    """Build a KubeProxyConfiguration: nftables, and conntrack's settings, which are the host's, untouched."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": layout.address,
        "clientConnection": {"kubeconfig": str(layout.kubeconfigs / "kube-proxy.kubeconfig")},
        "clusterCIDR": POD_CIDR,
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
        "healthzBindAddress": f"{layout.address}:{HEALTH_PORT}",
        "hostnameOverride": NODE_NAME,
        "metricsBindAddress": f"{LOOPBACK}:10249",
        "mode": "nftables",
        "nftables": {"minSyncPeriod": "100ms"},  # a new pod gets traffic at once; one node has few rules
        "oomScoreAdj": 0,
    }


def route_services(layout: Layout) -> None:
    """Give the node's own programs a way to ClusterIPs, which kube-proxy then turns into pods.

    Must run in the node's network namespace. It has no default route, so without this one a
    connection to a ClusterIP would be unreachable before any rule sees it.
    """
    command = [program("ip"), "route", "replace", SERVICE_CIDR, "dev", "lo", "src", layout.address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - argv is ours
    if done.returncode != 0:
        raise SandboxError(f"cannot route {SERVICE_CIDR} on the node: {done.stderr.strip()}")


def kube_proxy(layout: Layout) -> Program:
    """Start kube-proxy; healthy once its rules are written."""
    health = f"http://{layout.address}:{HEALTH_PORT}"
    return Program(
        "kube-proxy",
        (str(layout.binary("kube-proxy")), f"--config={HOME / 'kube-proxy.yaml'}"),
        address=health,
        healthy=answers_ok(f"{health}/healthz", layout.certificates),
    )
