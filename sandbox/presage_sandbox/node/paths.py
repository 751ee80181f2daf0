"""Where the node's programs keep their files, as they see them.

Inside the node's mount namespace the folder STATE/node is also mounted on a short path: a Unix
socket's path may have 107 bytes, and kubelet and containerd make theirs below their own folders.
"""

from pathlib import Path

HOME = Path("/run/presage")  # STATE/node, inside
CONTAINERD_SOCKET = HOME / "containerd.sock"
CONTAINERD_ROOT = HOME / "containerd"
CNI_CONFIG = HOME / "cni"
KUBELET_ROOT = HOME / "kubelet"
POD_LOGS = HOME / "pod-logs"
