"""The node leaves the host as it found it, however it ends."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from presage_sandbox import lifecycle, processes
from presage_sandbox.cluster import Cluster
from presage_sandbox.layout import Layout, Options, identity_of
from presage_sandbox.node import cgroups
from presage_sandbox.node.cgroups import name_of
from presage_sandbox.node_hook import load_node
from presage_sandbox.progress import on_terminal

pytestmark = pytest.mark.node
PREFIX = name_of("")  # of every sandbox's cgroup: others may come and go meanwhile
# Sysctls that change by themselves.
VOLATILE = (
    "fs/",
    "kernel/ns_last_pid",
    "kernel/pty/nr",
    "kernel/random/",
    "net/netfilter/nf_conntrack_count",
)
PLACES = ("/etc/cni", "/opt/cni", "/opt/containerd", "/run", "/var/lib", "/var/log", "/var/lib/cni")
POD = """
apiVersion: v1
kind: Pod
metadata: {name: busy}
spec:
  containers:
  - name: pause
    image: presage.dev/pause:dev
    imagePullPolicy: Never
    resources: {limits: {memory: 32Mi, cpu: 50m}}
    volumeMounts: [{name: memory, mountPath: /memory}]
  volumes: [{name: memory, emptyDir: {medium: Memory}}]
"""


def snapshot(identity: str) -> dict[str, object]:
    """Read what of this machine a node could change, without what belongs to other sandboxes."""
    return {
        "sysctls": sysctls(),
        "links": printed("ip", "-brief", "link"),
        "addresses": printed("ip", "-brief", "address"),
        "routes": printed("ip", "route", "show", "table", "all"),
        "rules": printed("nft", "list", "ruleset"),
        "mounts": [line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "cgroups": cgroup_folders(identity),
        "places": {place: sorted(Path(place).glob("*")) for place in PLACES},
        "limits": Path("/proc/self/oom_score_adj").read_text(),
    }


def sysctls() -> dict[str, str]:
    """Every readable sysctl that does not change by itself."""
    found = {}
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            path = Path(folder) / name
            key = str(path.relative_to("/proc/sys"))
            if key.startswith(VOLATILE):
                continue
            try:
                found[key] = path.read_text(errors="replace")
            except OSError:
                continue  # write-only, or not for this kernel
    return found


def cgroup_folders(identity: str) -> list[str]:
    """Every sandbox's cgroups but those of others; deeper ones of other programs come and go."""
    mine = name_of(identity)
    found = [str(path) for path in Path("/sys/fs/cgroup").glob("*/*/") if path.name.startswith(PREFIX)]
    return [path for path in found if Path(path).name == mine]


def printed(*command: str) -> str:
    """Output of a program of this machine."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def start_with_a_pod(state: Path) -> Layout:
    """Start a sandbox with a node and a pod that has a link, mounts and limited cgroups."""
    layout = lifecycle.up(state, Options(node=True), None, on_terminal())
    cluster = Cluster(layout)
    for _ in range(100):
        if "default" in cluster.kube("get", "serviceaccounts", "--output=name"):
            break
        time.sleep(0.1)
    cluster.kube("apply", "--filename=-", stdin=POD)
    cluster.kube("wait", "--for=condition=Ready", "--timeout=30s", "pod/busy")
    return layout


def end_cleanly(_layout: Layout) -> None:
    """Leave everything to `down`."""


def kill_the_daemon(layout: Layout) -> None:
    """Kill the process on the host that holds everything together."""
    os.kill(processes.marked(layout.identity)[0], signal.SIGKILL)


def kill_the_supervisor(layout: Layout) -> None:
    """Kill the process inside the namespaces that runs the programs: third after daemon and pid 1."""
    os.kill(processes.marked(layout.identity)[2], signal.SIGKILL)


@pytest.mark.parametrize("end", [end_cleanly, kill_the_daemon, kill_the_supervisor])
def test_the_host_is_left_as_it_was(tmp_path: Path, end: Callable[[Layout], None]) -> None:
    """Sysctls, links, rules, mounts, cgroups and folders are the same after `down`, crashed or not."""
    if os.geteuid() != 0:
        pytest.skip("a real node needs root")
    state = tmp_path / "state"
    identity = identity_of(state)
    before = snapshot(identity)
    try:
        layout = start_with_a_pod(state)
        during = snapshot(identity)
        end(layout)
    finally:
        started = time.monotonic()
        lifecycle.down(state, on_terminal())
        seconds = time.monotonic() - started
    assert during["cgroups"], "the node runs in a cgroup of its own"
    for what in ("sysctls", "links", "addresses", "routes", "rules", "mounts", "places"):
        assert during[what] == before[what], f"{what} are the host's own while the node runs"
    assert snapshot(identity) == before
    assert not processes.marked(identity)
    assert seconds < 15


def test_restoring_again_and_without_a_node_is_fine(tmp_path: Path) -> None:
    """`down` may call the repair any number of times, also where nothing was started."""
    if os.geteuid() != 0:
        pytest.skip("a real node needs root")
    layout = Layout(tmp_path, Options(node=True), {}, {}, {})
    load_node().restore_host(layout)
    load_node().restore_host(layout)


def test_controllers_of_cgroup_v2_are_passed_on_and_taken_back(tmp_path: Path) -> None:
    """On the kernel's own v2 tree: pods' cgroups get every controller, the root is as before at the end."""
    if os.geteuid() != 0:
        pytest.skip("a real node needs root")
    unified = [each for each in cgroups.hierarchies(cgroups.MOUNTS.read_text()) if each.unified]
    if not unified:
        pytest.skip("this machine mounts no cgroup v2")
    root, name, note = unified[0].root, name_of("test-of-v2"), tmp_path / "controllers"
    before = (root / cgroups.PASSED_ON).read_text()
    (root / name).mkdir()
    try:
        cgroups.delegate(root, name, note)
        available = (root / "cgroup.controllers").read_text()
        assert (root / name / cgroups.PASSED_ON).read_text().split() == available.split()
    finally:
        cgroups.remove(name, note)
    assert not (root / name).exists()
    assert (root / cgroups.PASSED_ON).read_text() == before
    assert not note.exists()
