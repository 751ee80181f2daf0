"""Which programs of this machine the node needs, and which package brings them."""

import os
import shutil
import sys
from pathlib import Path

from presage_sandbox.errors import SandboxError

PROGRAMS = {  # program: Debian package
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",  # the kubelet's; on every machine, but not in every container
}
CNI_PLUGINS = ("loopback", "ptp", "host-local")
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on every user's PATH, even root's


def program(name: str) -> str:
    """Find a program of PROGRAMS; SandboxError with the package to install."""
    found = _find(name)
    if found is None:
        raise SandboxError(_missing({PROGRAMS[name]: [name]}))
    return found


def cni_folder() -> Path:
    """Find the folder that holds every CNI plug-in; SandboxError with the package to install."""
    for folder in CNI_FOLDERS:
        if all((folder / name).exists() for name in CNI_PLUGINS):
            return folder
    raise SandboxError(_missing({"containernetworking-plugins": [f"CNI {', '.join(CNI_PLUGINS)}"]}))


def check() -> None:
    """Check system, user and programs; SandboxError that names all that is missing at once."""
    if sys.platform != "linux" or os.geteuid() != 0:
        who = f"user {os.geteuid()} on {sys.platform}"
        raise SandboxError(
            f"a real node (--node) needs root on Linux, and this is {who}: run as root, "
            "or without --node for the control plane alone"
        )
    missing: dict[str, list[str]] = {}
    for name, package in PROGRAMS.items():
        if _find(name) is None:
            missing.setdefault(package, []).append(name)
    if not any(all((folder / name).exists() for name in CNI_PLUGINS) for folder in CNI_FOLDERS):
        missing["containernetworking-plugins"] = [f"CNI {', '.join(CNI_PLUGINS)}"]
    if missing:
        raise SandboxError(_missing(missing))


def _find(name: str) -> str | None:
    path = os.pathsep.join((os.environ.get("PATH", ""), *SBIN))
    return shutil.which(name, path=path)


def _missing(packages: dict[str, list[str]]) -> str:
    names = ", ".join(name for names in packages.values() for name in names)
    return (
        f"a real node (--node) needs {names}, not found on PATH, in {', '.join(map(str, CNI_FOLDERS))}: "
        f"sudo apt-get install --no-install-recommends {' '.join(packages)}"
    )
