"""What is compared: no router, Presage's sidecar, and sglang-router, each before the same upstream."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.overhead.upstream import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
UPSTREAM_PORT = 18200
SIDECAR_PORT = 18000
PEER_PORT = 18100
SGLANG_PORT = 18300
START_SECONDS = 60
STOP_SECONDS = 15

# Room for everything: what is measured is the path of a request, not waiting for an engine.
_PROFILE = {
    "name": "bench",
    "coefficients": {
        "fixed": 0.001,
        "per_token": 1.0e-9,
        "per_sequence": 1.0e-9,
        "per_kv_token": 1.0e-12,
        "per_prefill_attention": 1.0e-15,
    },
    "kv_capacity_tokens": 16_000_000,
    "max_sequences": 4096,
    "token_budget": 65_536,
}


@dataclass(frozen=True)
class Target:
    """Where to send requests, and the process whose CPU is counted (None: no router)."""

    name: str
    port: int
    pid: int | None


@contextlib.contextmanager
def all_targets(names: tuple[str, ...]) -> Iterator[list[Target]]:
    """Start the upstream and the routers named; they end with the block."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = [sys.executable, "-m", "benchmarks.overhead.upstream", HOST, str(UPSTREAM_PORT)]
        stack.enter_context(_process(upstream, UPSTREAM_PORT, folder))
        targets = [Target("direct", UPSTREAM_PORT, None)]
        for name, port, command in (
            ("presage", SIDECAR_PORT, _sidecar(folder)),
            ("sglang-router", SGLANG_PORT, _sglang()),
        ):
            if name in names:
                process = stack.enter_context(_process(command, port, folder))
                targets.append(Target(name, port, process.pid))
        yield targets


def _sidecar(folder: Path) -> list[str]:
    profile = folder / "profile.json"
    profile.write_text(json.dumps(_PROFILE), encoding="utf-8")
    config = folder / "router.json"
    config.write_text(
        json.dumps({"service": "bench", "namespace": "bench", "model": MODEL, "profile": str(profile)}),
        encoding="utf-8",
    )
    peers = folder / "peers.json"
    peers.write_text(
        json.dumps([{"front": f"{HOST}:{SIDECAR_PORT}", "peer": f"{HOST}:{PEER_PORT}"}]), encoding="utf-8"
    )
    presage = str(Path(sys.executable).with_name("presage"))
    flags = {
        "--config": config,
        "--engine": f"http://{HOST}:{UPSTREAM_PORT}",
        "--front": f"{HOST}:{SIDECAR_PORT}",
        "--peer": f"{HOST}:{PEER_PORT}",
        "--advertise": HOST,
        "--peers-file": peers,
    }
    return [presage, "router", *(str(part) for pair in flags.items() for part in pair)]


def _sglang() -> list[str]:
    flags = {
        "--host": HOST,
        "--port": SGLANG_PORT,
        "--worker-urls": f"http://{HOST}:{UPSTREAM_PORT}",
        "--policy": "round_robin",
        "--log-level": "warn",
        "--prometheus-port": SGLANG_PORT + 1,
    }
    return [
        sys.executable,
        "-m",
        "sglang_router.launch_router",
        *(str(p) for pair in flags.items() for p in pair),
    ]


@contextlib.contextmanager
def _process(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await_answer(process, command, port, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(process: subprocess.Popen[bytes], command: list[str], port: int, log: Path) -> None:
    """Wait until a chat request succeeds. Raises RuntimeError with the end of the log when none does."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}
    request = urllib.request.Request(
        f"http://{HOST}:{port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(request, timeout=5):
            return
        time.sleep(0.1)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"{' '.join(command[:3])} does not serve on port {port}:\n{tail}")
