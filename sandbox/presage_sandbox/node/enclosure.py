"""Makes the supervisor's mount namespace a place where the node may write, and the host is safe.

The node's programs write to fixed places (/run, /var/log, /var/lib/cni) and set global sysctls.
Here those places are covered, and /proc/sys is read-only but for the network's part, which belongs to
the namespace. The kubelet insists on setting a few global sysctls: it gets files of its own to write.
Everything vanishes with the namespace, so nothing is left to restore, even after a crash.
"""

import ctypes
import os
import re
from pathlib import Path

from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import Layout
from presage_sandbox.node.paths import CONTAINERD_ROOT, HOME

MS_RDONLY = 0x1
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SHARED = 0x100000
# What the kubelet sets at its start (pkg/kubelet/cm, setupKernelTunables); it fails where it cannot.
SHIELDED = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
ENOUGH_MEMORY_BYTES = 6 << 30  # images take one of them
SYSCTLS = Path("/proc/sys")
_libc = ctypes.CDLL(None, use_errno=True)


def enclose(layout: Layout) -> None:
    """Cover what must not be written and mount STATE/node on its short path; SandboxError if refused.

    Must run in the node's mount namespace, after /proc of its pid namespace is mounted.
    """
    state = os.open(layout.state, os.O_PATH | os.O_DIRECTORY)
    node = os.open(layout.node, os.O_PATH | os.O_DIRECTORY)
    try:
        _cover_run_and_var()
        if _is_covered(layout.state, state):
            layout.state.mkdir(parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{state}", layout.state, flags=MS_BIND | MS_REC)
        HOME.mkdir()
        _mount(f"/proc/self/fd/{node}", HOME, flags=MS_BIND | MS_REC)
        _hold_images_in_memory(Path("/proc/meminfo").read_text())
    finally:
        os.close(state)
        os.close(node)
    _shield_sysctls()
    _mount("none", Path("/"), flags=MS_REC | MS_SHARED)  # so that pods may ask for mount propagation


def _cover_run_and_var() -> None:
    """Put an empty /run and /var/log over the host's, and a /var/lib whose changes stay in memory."""
    _mount("tmpfs", Path("/run"), kind="tmpfs", options="mode=755")
    _mount("tmpfs", Path("/var/log"), kind="tmpfs", options="mode=755")
    upper, work = Path("/run/var-lib/upper"), Path("/run/var-lib/work")
    upper.mkdir(parents=True)
    work.mkdir()
    options = f"lowerdir=/var/lib,upperdir={upper},workdir={work}"
    _mount("overlay", Path("/var/lib"), kind="overlay", options=options)
    if not Path("/var/run").is_symlink():
        _mount("/run", Path("/var/run"), flags=MS_BIND | MS_REC)


def _hold_images_in_memory(meminfo: str) -> None:
    """Put images on a tmpfs where memory allows: writing and removing a GB on disk takes seconds."""
    CONTAINERD_ROOT.mkdir()
    if memory_available(meminfo) >= ENOUGH_MEMORY_BYTES:
        _mount("tmpfs", CONTAINERD_ROOT, kind="tmpfs", options="mode=711")


def memory_available(meminfo: str) -> int:
    """Read from the text of /proc/meminfo how many bytes may be used without swapping; 0 where unknown."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _is_covered(folder: Path, opened: int) -> bool:
    """Whether `folder` no longer leads to the folder that was opened before."""
    return not folder.exists() or not os.path.samestat(folder.stat(), os.fstat(opened))


def _shield_sysctls() -> None:
    _mount(str(SYSCTLS), SYSCTLS, flags=MS_BIND | MS_REC)
    _mount("none", SYSCTLS, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    _mount(str(SYSCTLS / "net"), SYSCTLS / "net", flags=MS_BIND | MS_REC)
    _mount("none", SYSCTLS / "net", flags=MS_BIND | MS_REMOUNT)
    for name in SHIELDED:
        if (SYSCTLS / name).exists():
            own = Path("/run/sysctl") / name
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text((SYSCTLS / name).read_text())
            _mount(str(own), SYSCTLS / name, flags=MS_BIND)


def _mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    words = (source.encode(), str(target).encode(), kind.encode() or None)
    if _libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise SandboxError(f"cannot mount {kind or source} on {target} for the node: {reason}")
