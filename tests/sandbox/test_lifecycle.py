"""The command: up, status, down, crashes, and several sandboxes side by side."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from interruptible import presage_command
from presage_sandbox.catalogue import CATALOGUE
from presage_sandbox.layout import Layout, identity_of
from presage_sandbox.processes import marked

pytestmark = pytest.mark.cluster

PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "prometheus"]
HOUR_MS, MINUTE = 3_600_000, 60


def presage(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `presage sandbox …` as a user does."""
    command = [
        sys.executable,
        "-c",
        "from presage_cli.main import app; app()",
        "sandbox",
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def stat_exit(state: Path) -> int:
    """Exit code of `status`."""
    return presage("status", "--state", state).returncode


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Give a state folder, taken down whatever happens."""
    folder = tmp_path / "sandbox"
    yield folder
    presage("down", "--state", folder)


def what_is_left(state: Path) -> list[str]:
    """All that a sandbox left in its state folder and among the processes."""
    return [each.name for each in state.iterdir()] + [str(pid) for pid in marked(identity_of(state))]


def listening(pids: list[int]) -> set[tuple[str, int]]:
    """Addresses and ports on which these processes listen, as the kernel tells them (hexadecimal)."""
    inodes = set()
    for pid in pids:
        for each in Path(f"/proc/{pid}/fd").iterdir():
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(each.readlink())):
                inodes.add(found[1])
    found_at = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                found_at.add((address, int(port, 16)))
    return found_at


def test_one_life(state: Path) -> None:
    """`up` prints what a shell needs, `up` again keeps it, `status` tells, `down` leaves only logs."""
    first = presage("up", "--state", state)
    assert first.returncode == 0, first.stderr
    assert re.search(rf"^export KUBECONFIG={state}/kubeconfig$", first.stdout, re.MULTILINE)
    shell = f"{first.stdout}\nkubectl get namespaces -o name && helm list -q"
    assert "namespace/default" in subprocess.check_output(["/bin/sh", "-c", shell], text=True)

    again = presage("up", "--state", state)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    other = presage("up", "--state", state, "--scrape-interval", "7")
    assert other.returncode == 1
    assert "with other options" in other.stderr

    table = presage("status", "--state", state)
    assert table.returncode == 0
    rows = [line.split() for line in table.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == PROGRAMS
    assert all(row[1:3] == ["running", "yes"] for row in rows)
    by_pid = {int(row[3]): Path(f"/proc/{row[3]}/exe").resolve().name for row in rows}
    assert list(by_pid.values()) == PROGRAMS

    found = listening(marked(identity_of(state)))
    assert {address for address, _ in found} == {"0100007F"}, "somebody listens beyond 127.0.0.1"
    assert {port for _, port in found} == set(Layout.read(state).ports.values())

    assert presage("stop", "kube-scheduler", "--state", state).returncode == 0
    assert "stopped" in presage("status", "--state", state).stdout
    assert stat_exit(state) == 1
    assert presage("start", "kube-scheduler", "--state", state).returncode == 0
    assert stat_exit(state) == 0

    assert presage("down", "--state", state).returncode == 0
    assert what_is_left(state) == ["logs"]
    assert presage("down", "--state", state).returncode == 0
    assert stat_exit(state) == 1


def test_a_crash_ends_everything_and_down_repairs(state: Path) -> None:
    """SIGKILL of the supervisor ends every program; `status` says so; `down` and `up` work as ever."""
    assert presage("up", "--state", state).returncode == 0
    supervisor, *programs = marked(identity_of(state))
    assert len(programs) == len(PROGRAMS)
    os.kill(supervisor, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while marked(identity_of(state)):
        assert time.monotonic() < deadline, "programs outlived their supervisor"
        time.sleep(0.05)
    crashed = presage("status", "--state", state)
    assert crashed.returncode == 1
    assert "may have crashed" in crashed.stderr
    assert "presage sandbox down" in crashed.stderr
    assert presage("down", "--state", state).returncode == 0
    assert what_is_left(state) == ["logs"]


def test_two_at_once_one_with_history(state: Path, tmp_path: Path) -> None:
    """Two sandboxes do not meet: other ports, other certificates; one has a past in its Prometheus."""
    now = int(time.time()) // 60 * 60
    past = [now - 26 * 3600 + minute * MINUTE for minute in range(24 * 60)]
    lines = [f'load{{service="chat"}} {index} {at}' for index, at in enumerate(past)]
    history = tmp_path / "history.om"
    history.write_text("\n".join(["# TYPE load gauge", *lines, "# EOF", ""]))
    second = tmp_path / "second"
    try:
        starts = [
            subprocess.Popen(
                [sys.executable, "-c", "from presage_cli.main import app; app()", "sandbox", "up", *flags],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for flags in (
                ["--state", str(state)],
                ["--state", str(second), "--prometheus-history", str(history)],
            )
        ]
        assert [each.wait(100) for each in starts] == [0, 0]
        one, two = Layout.read(state), Layout.read(second)
        assert not set(one.ports.values()) & set(two.ports.values())
        kubectl = [str(two.binary("kubectl")), f"--kubeconfig={two.kubeconfig}", "get", "ns"]
        assert subprocess.run(kubectl, check=False).returncode == 0
        wrong = [*kubectl, f"--server={one.published_apiserver_url}"]
        assert subprocess.run(wrong, capture_output=True, check=False).returncode != 0
        for at, value in ((past[0], "0"), (past[700], "700"), (past[-1], "1439")):
            answer = httpx.get(
                f"{two.prometheus_url}/api/v1/query", params={"query": "load", "time": at}, trust_env=False
            ).json()
            assert answer["data"]["result"][0]["value"] == [at, value]
        assert presage("down", "--state", second).returncode == 0
        assert stat_exit(state) == 0
    finally:
        presage("down", "--state", second)


def test_a_start_that_fails_tells_why_and_leaves_nothing(state: Path, tmp_path: Path) -> None:
    """History that promtool cannot read fails the start with promtool's words; everything is down again."""
    history = tmp_path / "history.om"
    history.write_text("this is no metric\n")
    failed = presage("up", "--state", state, "--prometheus-history", history)
    assert failed.returncode == 1
    assert f"promtool could not load {history}" in failed.stderr
    assert what_is_left(state) == ["logs"]


def test_a_program_that_does_not_start_is_quoted(state: Path, tmp_path: Path) -> None:
    """The start fails with the program's name, exit code and last words, and leaves nothing."""
    etcd = tmp_path / "folder" / "etcd"
    etcd.parent.mkdir()
    version = ".".join(map(str, CATALOGUE["etcd"].version))
    etcd.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "etcd Version: {version}" && exit\necho no disk\nexit 9\n'
    )
    etcd.chmod(0o755)
    failed = presage("up", "--state", state, "--binaries", etcd.parent)
    assert failed.returncode == 1
    assert re.search(
        r"Error: etcd exited 9 at start; the end of \S+/logs/etcd\.log:\n.*\n    no disk", failed.stderr
    )
    assert what_is_left(state) == ["logs"]


def test_an_interrupted_start_leaves_nothing(state: Path) -> None:
    """Ctrl-C while `up` waits takes everything down again."""
    command = presage_command("sandbox", "up", "--state", str(state))
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as starting:
        deadline = time.monotonic() + 30
        while len(marked(identity_of(state))) < 2:
            assert time.monotonic() < deadline, "nothing was started"
            time.sleep(0.05)
        starting.send_signal(signal.SIGINT)
        assert starting.wait(60) != 0
    assert what_is_left(state) == ["logs"]


def test_a_missing_history_is_named(state: Path, tmp_path: Path) -> None:
    """A file that is not there is told before anything starts."""
    failed = presage("up", "--state", state, "--prometheus-history", tmp_path / "nowhere.om")
    assert failed.returncode == 1
    assert re.search(r"--prometheus-history .*nowhere\.om: no such file", failed.stderr)


def test_down_touches_only_what_a_sandbox_wrote(state: Path) -> None:
    """Whatever is left of a sandbox goes, also with its sandbox.json damaged; files of others stay."""
    (state / "etcd" / "member").mkdir(parents=True)
    (state / "node").mkdir()
    for name in ("sandbox.json", "kubeconfig", "thesis.tex"):
        (state / name).write_text("{")
    assert presage("up", "--state", state, "--prometheus-history", "nowhere").returncode == 1
    assert what_is_left(state) == ["thesis.tex"]
