"""The cgroup below which everything in the node's pods runs: the one trace on the host.

Works on cgroup v1 (one tree a controller), on v2 (one tree), and where both are mounted.
"""

import contextlib
import dataclasses
import os
import signal
import time
from pathlib import Path

from presage_sandbox.errors import SandboxError

MOUNTS = Path("/proc/self/mountinfo")
REMOVE_SECONDS = 15.0
POLL_SECONDS = 0.05
CPU_SHARES_FILE = "cpu.shares"
SHARES_PER_CPU = 1024
CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup tree."""

    root: Path
    unified: bool


def hierarchies(mounts: str) -> list[Hierarchy]:
    """Find the cgroup trees in the text of /proc/self/mountinfo, each once. Format: proc(5)."""
    found = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, point = after.split()[0], before.split()[4]
        if kind in {"cgroup", "cgroup2"}:
            found[point] = Hierarchy(Path(point), unified=kind == "cgroup2")
    return list(found.values())


def name_of(identity: str) -> str:
    """Of the cgroup of one sandbox, without a slash."""
    return f"presage-sandbox-{identity}"


def create(name: str) -> None:
    """Make the cgroup in every tree, able to hold pods; SandboxError where the kernel refuses."""
    trees = hierarchies(MOUNTS.read_text())
    if not trees:
        raise SandboxError("no cgroup tree is mounted on this machine, and a real node (--node) needs one")
    only_unified = all(each.unified for each in trees)
    for tree in trees:
        try:
            _create(tree, name, delegate=only_unified)
        except OSError as error:
            raise SandboxError(
                f"cannot make the cgroup {tree.root / name} ({error}): a real node (--node) needs a machine, "
                "or a container, whose cgroups may be written; --node off needs none"
            ) from error


def _create(tree: Hierarchy, name: str, *, delegate: bool) -> None:
    folder = tree.root / name
    folder.mkdir(exist_ok=True)
    if tree.unified:
        if delegate:
            _enable_controllers(tree.root)
            _enable_controllers(folder)
        return
    if (folder / CPU_SHARES_FILE).exists():
        # What the kubelet gives its own group at the top of the tree; by default all pods together
        # would weigh as much as one process outside.
        (folder / CPU_SHARES_FILE).write_text(str(SHARES_PER_CPU * (os.cpu_count() or 1)))
    for file in CPUSET_FILES:  # on v1 a new cpuset is empty, and no process may enter an empty one
        if (folder / file).exists():
            (folder / file).write_text((tree.root / file).read_text())


def _enable_controllers(folder: Path) -> None:
    """Pass every controller that the folder has on to its children (v2)."""
    available = (folder / "cgroup.controllers").read_text().split()
    enabled = (folder / "cgroup.subtree_control").read_text().split()
    for controller in sorted(set(available) - set(enabled)):
        (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(name: str) -> None:
    """End what still runs in the cgroup and remove it from every tree; nothing where there is none.

    A killed namespace takes a moment to be gone, so this waits up to 15 s; then SandboxError.
    """
    deadline = time.monotonic() + REMOVE_SECONDS
    for tree in hierarchies(MOUNTS.read_text()):
        while not _removed(tree.root / name):
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"the cgroup {tree.root / name} is still busy; "
                    "`presage sandbox down` tries again, `cat .../cgroup.procs` lists who is in it"
                )
            time.sleep(POLL_SECONDS)


def _removed(folder: Path) -> bool:
    """Try once to remove the cgroup and those below it, deepest first."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            Path(path).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            _kill_members(Path(path))
    return not folder.exists()


def _kill_members(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it may be gone by now
        for pid in (folder / "cgroup.procs").read_text().split():
            if pid != "0":  # a process that this namespace cannot see
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
