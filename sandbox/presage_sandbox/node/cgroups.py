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
PASSED_ON = "cgroup.subtree_control"
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


def create(name: str, note: Path) -> None:
    """Make the cgroup in every tree, able to hold pods; SandboxError where the kernel refuses.

    Where only v2 is mounted, pods need every controller passed on from the root; which ones were not
    before is written to `note`, for `remove`.
    """
    trees = hierarchies(MOUNTS.read_text())
    if not trees:
        raise SandboxError("no cgroup tree is mounted on this machine, and a real node (--node) needs one")
    only_unified = all(each.unified for each in trees)
    for tree in trees:
        try:
            (tree.root / name).mkdir(exist_ok=True)
            if only_unified:
                delegate(tree.root, name, note)
            elif not tree.unified:
                _fill_cpuset(tree.root, name)
        except OSError as error:
            raise SandboxError(
                f"cannot make the cgroup {tree.root / name} ({error}): a real node (--node) needs a machine, "
                "or a container, whose cgroups may be written; without --node none is needed"
            ) from error


def _fill_cpuset(root: Path, name: str) -> None:
    """Give the cgroup every CPU: on v1 a new cpuset is empty, and no process may enter an empty one."""
    for file in CPUSET_FILES:
        if (root / file).exists():
            (root / name / file).write_text((root / file).read_text())


def delegate(root: Path, name: str, note: Path) -> None:
    """Pass every controller of the root on to the cgroup, and from there to its children (v2)."""
    note.write_text(" ".join(_held_back(root)))
    for folder in (root, root / name):
        for controller in _held_back(folder):
            (folder / PASSED_ON).write_text(f"+{controller}")


def _held_back(folder: Path) -> list[str]:
    """List the controllers that a cgroup has and does not pass on."""
    available = (folder / "cgroup.controllers").read_text().split()
    return sorted(set(available) - set((folder / PASSED_ON).read_text().split()))


def remove(name: str, note: Path) -> None:
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
        if tree.unified:
            hold_back(tree.root, note)


def hold_back(root: Path, note: Path) -> None:
    """Take back what `delegate` made the root pass on, unless somebody else uses it by now (v2)."""
    if not note.exists():
        return
    for controller in note.read_text().split():
        with contextlib.suppress(OSError):
            (root / PASSED_ON).write_text(f"-{controller}")
    note.unlink()


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
