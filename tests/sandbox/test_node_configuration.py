"""What the node's programs are told, and what is asked of the machine before."""

import tomllib
from pathlib import Path

import pytest
from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import Layout, Options
from presage_sandbox.node import cgroups, containerd, dns, enclosure, kubelet, network, requirements

MOUNTS = """\
25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 25 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
33 31 0:29 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw
34 25 0:28 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
"""


def layout(state: Path) -> Layout:
    """Describe a sandbox with a node; nothing of it runs."""
    return Layout(state, Options(node=True), {"apiserver": 6443}, {}, {})


def test_cgroup_trees_are_found_each_once() -> None:
    """Both kinds of trees are read from mountinfo, also where one is mounted twice."""
    found = cgroups.hierarchies(MOUNTS)
    assert [(str(each.root), each.unified) for each in found] == [
        ("/sys/fs/cgroup/cpu", False),
        ("/sys/fs/cgroup/unified", True),
    ]


def test_two_sandboxes_have_two_cgroups(tmp_path: Path) -> None:
    """Sandboxes side by side do not share, and so do not remove, a cgroup."""
    names = {cgroups.name_of(layout(tmp_path / name).identity) for name in "ab"}
    assert len(names) == 2


def test_removing_a_cgroup_that_is_not_there_is_fine(tmp_path: Path) -> None:
    """The repair after a crash may run any number of times."""
    cgroups.remove("presage-sandbox-that-never-was", tmp_path / "controllers")


def test_containerd_is_told_in_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration is valid, pulls nothing, and loads nothing into the host's kernel."""
    for name in requirements.CNI_PLUGINS:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr(requirements, "CNI_FOLDERS", (tmp_path,))
    monkeypatch.setattr(containerd, "program", lambda name: f"/usr/bin/{name}")
    told = tomllib.loads(containerd.configuration())
    cri = told["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == "presage.dev/pause:dev"
    assert cri["disable_apparmor"] is True
    assert cri["cni"]["bin_dir"] == str(tmp_path)
    assert "io.containerd.internal.v1.opt" in told["disabled_plugins"]


def test_socket_paths_fit_whatever_the_state_folder() -> None:
    """A Unix socket's path has 107 bytes; the longest that the kubelet makes stays below."""
    longest = kubelet.KUBELET_ROOT / "device-plugins" / ("x" * 32 + ".sock")
    assert len(str(longest)) < 100
    assert len(str(containerd.CONTAINERD_SOCKET)) < 100


def test_nobody_without_credentials_is_served_by_the_kubelet(tmp_path: Path) -> None:
    """Anonymous requests are refused, the others are checked by the API server."""
    told = kubelet.configuration(layout(tmp_path))
    assert told["authentication"]["anonymous"] == {"enabled": False}
    assert told["authorization"] == {"mode": "Webhook"}
    assert told["cgroupRoot"] == f"/{cgroups.name_of(layout(tmp_path).identity)}"


def test_conntrack_settings_of_the_host_are_left_alone(tmp_path: Path) -> None:
    """Zero is kube-proxy's word for leaving a setting as it is."""
    told = network.kube_proxy_configuration(layout(tmp_path))["conntrack"]
    assert {str(value).rstrip("s") for value in told.values()} == {"0"}


def test_the_shield_covers_only_what_is_global() -> None:
    """The network's sysctls belong to the namespace; those behind the shield do not."""
    assert not [name for name in enclosure.SHIELDED if name.startswith("net/")]


def test_available_memory_is_read_in_bytes() -> None:
    """Images go to memory only where the kernel says that there is enough; unknown is not enough."""
    assert enclosure.memory_available("MemTotal: 1 kB\nMemAvailable:   24105 kB\n") == 24105 * 1024
    assert enclosure.memory_available("MemTotal:   24105 kB\n") == 0


def test_dns_knows_its_address_and_credentials(tmp_path: Path) -> None:
    """CoreDNS answers on the address that pods are given, with its own identity."""
    layout(tmp_path).node.mkdir()
    dns.write_configuration(layout(tmp_path))
    text = (tmp_path / "node" / "Corefile").read_text()
    assert text.count("bind 10.99.0.1") == 2
    assert str(tmp_path / "kubeconfigs" / "coredns.kubeconfig") in text


def test_all_that_is_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare machine learns every missing program and the one command that installs them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(requirements, "SBIN", ())
    monkeypatch.setattr(requirements, "CNI_FOLDERS", (tmp_path,))
    monkeypatch.setattr(requirements.os, "geteuid", lambda: 0)
    with pytest.raises(SandboxError, match="needs containerd, ctr, runc, nft") as refused:
        requirements.check()
    assert "apt-get install --no-install-recommends containerd runc nftables" in str(refused.value)
    assert "containernetworking-plugins" in str(refused.value)


def test_without_root_the_node_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not root learns it before anything is built or started."""
    monkeypatch.setattr(requirements.os, "geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match="needs root on Linux, and this is user 1000"):
        requirements.check()
