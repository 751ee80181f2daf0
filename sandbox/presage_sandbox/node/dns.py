"""The cluster's DNS: CoreDNS beside the pods, on the address that the kubelet writes into them."""

from presage_sandbox.health import answers_ok
from presage_sandbox.layout import Layout
from presage_sandbox.program import Program

DOMAIN = "cluster.local"
READY_PORT = 8181


def write_configuration(layout: Layout) -> None:
    """Write the Corefile. The node has no way out, so a name outside the cluster does not exist."""
    address = layout.address
    (layout.node / "Corefile").write_text(f"""\
{DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {address}
    errors
    ready {address}:{READY_PORT}
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {layout.kubeconfigs / "coredns.kubeconfig"}
        pods insecure
        ttl 5
    }}
    cache 5
    loadbalance
}}
.:53 {{
    bind {address}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
""")


def coredns(layout: Layout) -> Program:
    """Start CoreDNS; healthy once it has read the cluster's Services."""
    return Program(
        "coredns",
        (str(layout.binary("coredns")), f"-conf={layout.node / 'Corefile'}"),
        address=f"{layout.address}:53",
        healthy=answers_ok(f"http://{layout.address}:{READY_PORT}/ready", layout.certificates),
    )
