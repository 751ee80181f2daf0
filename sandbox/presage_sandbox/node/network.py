"""The pods' network: a routed link for each pod, and the rules of Services."""

import json

from presage_sandbox.layout import POD_CIDR, Layout
from presage_sandbox.node.paths import CNI_CONFIG
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


def kube_proxy(layout: Layout) -> Program:
    """Start kube-proxy with nftables; it leaves conntrack's settings, which are the host's, alone."""
    return Program(
        "kube-proxy",
        (
            str(layout.binary("kube-proxy")),
            f"--kubeconfig={layout.kubeconfigs / 'kube-proxy.kubeconfig'}",
            "--proxy-mode=nftables",
            f"--cluster-cidr={POD_CIDR}",
            f"--bind-address={layout.address}",
            f"--healthz-bind-address={layout.address}:{HEALTH_PORT}",
            "--metrics-bind-address=127.0.0.1:10249",
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
            "--nftables-min-sync-period=100ms",
            "--oom-score-adj=0",
        ),
        address=f"http://{layout.address}:{HEALTH_PORT}",
    )
