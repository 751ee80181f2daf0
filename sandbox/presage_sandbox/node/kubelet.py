"""The kubelet: its configuration and how it is started."""

from typing import Any

import yaml

from presage_sandbox.health import answers_ok
from presage_sandbox.identities import NODE_NAME
from presage_sandbox.layout import LOOPBACK, Layout
from presage_sandbox.node.cgroups import name_of
from presage_sandbox.node.dns import DOMAIN
from presage_sandbox.node.paths import CONTAINERD_SOCKET, HOME, KUBELET_ROOT, POD_LOGS
from presage_sandbox.program import Program

PORT = 10250
HEALTH_PORT = 10248


def configuration(layout: Layout) -> dict[str, Any]:
    """Build a KubeletConfiguration.

    Only callers with the sandbox's certificates or tokens that RBAC admits are served. Disk pressure
    evicts nothing: the disk is the host's, and a sandbox must not fail because it is fairly full.
    """
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.address,
        "port": PORT,
        "healthzBindAddress": LOOPBACK,
        "healthzPort": HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{name_of(layout.identity)}",
        "clusterDNS": [layout.address],
        "clusterDomain": DOMAIN,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "evictionHard": {
            "imagefs.available": "0%",
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,  # images cannot be pulled again
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "podLogsDir": str(POD_LOGS),
        "resolvConf": "",
        "volumePluginDir": str(KUBELET_ROOT / "volume-plugins"),
    }


def write_configuration(layout: Layout) -> None:
    """Write the configuration into STATE/node."""
    (layout.node / "kubelet.yaml").write_text(yaml.safe_dump(configuration(layout), sort_keys=False))


def kubelet(layout: Layout) -> Program:
    """Start the kubelet; healthy once it serves, which is before the node is Ready."""
    return Program(
        "kubelet",
        (
            str(layout.binary("kubelet")),
            f"--config={HOME / 'kubelet.yaml'}",
            f"--kubeconfig={layout.kubeconfigs / 'kubelet.kubeconfig'}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={layout.address}",
            f"--root-dir={KUBELET_ROOT}",
            f"--cert-dir={KUBELET_ROOT / 'pki'}",
        ),
        address=f"https://{layout.address}:{PORT}",
        healthy=answers_ok(f"http://{LOOPBACK}:{HEALTH_PORT}/healthz", layout.certificates),
    )
