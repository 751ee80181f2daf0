"""A real node on this machine: containerd, kubelet, kube-proxy and DNS, in namespaces of their own.

Links, addresses, rules and mounts live in the supervisor's network and mount namespaces, global
sysctls cannot be written from inside, and the only trace on the host is one cgroup, which is removed
afterwards, also after a crash.
"""

from presage_sandbox.node.hook import RealNode
from presage_sandbox.node_hook import NodeHook


def node() -> NodeHook:
    """Make the node that the supervisor drives."""
    return RealNode()
