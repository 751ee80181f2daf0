"""The namespaces that a real node lives in: apart from the host, and gone with their first process."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.node

PRELUDE = "import os, socket, subprocess, sys\nfrom presage_sandbox.namespaces import run_in_namespaces\n"


def run(body: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the function `body` (its text) inside namespaces of its own; what it prints and its code."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    code = f"{PRELUDE}{before}\ndef body():\n{lines}\nsys.exit(run_in_namespaces(body, '10.99.0.1'))"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )


def test_inside_there_is_loopback_with_the_address_and_nothing_else() -> None:
    """Programs inside see one link and can listen on 10.99.0.1; the host does not get that address."""
    done = run(
        "socket.create_server(('10.99.0.1', 6443)).close()\n"
        "print([name for _, name in socket.if_nameindex()])\n"
        "sys.stdout.flush()\nreturn 7"
    )
    assert (done.returncode, done.stdout) == (7, "['lo']\n"), done.stderr
    with pytest.raises(OSError, match="Cannot assign requested address"):
        socket.create_server(("10.99.0.1", 6443))


def test_mounts_inside_stay_inside(tmp_path: Path) -> None:
    """What is mounted inside is not mounted on the host."""
    mount = f"subprocess.run(['mount', '-t', 'tmpfs', 'none', {str(tmp_path)!r}], check=True)"
    done = run(f"{mount}\nopen({str(tmp_path / 'inside')!r}, 'w').close()\nreturn 0")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_a_socket_opened_before_still_listens_outside() -> None:
    """Published ports: a listener from outside accepts the host's connections inside."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    code = (
        f"{PRELUDE}outside = socket.create_server(('127.0.0.1', {port}))\n"
        "def body():\n"
        "    print('up', flush=True)\n"
        "    outside.accept()[0].sendall(str([n for _, n in socket.if_nameindex()]).encode())\n"
        "    return 0\n"
        "sys.exit(run_in_namespaces(body, '10.99.0.1'))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            assert connection.recv(100) == b"['lo']"
        assert process.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_all_inside_dies_with_the_process_outside(number: signal.Signals, tmp_path: Path) -> None:
    """However the outer process ends, orphans of orphans inside end too."""
    mark = f"orphan-{os.getpid()}-{number}"
    script = f"(setsid sleep 1000 & ) ; exec -a {mark} sleep 1000"
    code = (
        f"{PRELUDE}def body():\n"
        f"    subprocess.Popen(['setsid', 'bash', '-c', {script!r}], env={{'MARK': {mark!r}}})\n"
        "    print('up', flush=True)\n"
        "    import signal; signal.pause()\n"
        "sys.exit(run_in_namespaces(body, '10.99.0.1'))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        while len(with_mark(mark)) < 2:
            time.sleep(0.02)
        process.send_signal(number)
        process.wait(10)
    deadline = time.monotonic() + 10
    while with_mark(mark):
        assert time.monotonic() < deadline, "processes outlived their namespace"
        time.sleep(0.02)


def with_mark(mark: str) -> list[str]:
    """Find processes of the host with this mark in their environment."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            environment = (each / "environ").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if f"MARK={mark}".encode() in environment:
            found.append(each.name)
    return found
