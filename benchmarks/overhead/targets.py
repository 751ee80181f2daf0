"""What is compared: no router, Presage's sidecar, and sglang-router, each before the same upstream."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.overhead.report import DIRECT, LEARNED, PRESAGE, SGLANG, UNPREDICTED
from benchmarks.overhead.upstream import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 15

# Room for everything: what is measured is the path of a request, not waiting for an engine.
_PROFILE = {
    "name": "bench",
    "coefficients": {
        "fixed": 0.001,
        "per_token": 0.0,
        "per_sequence": 0.0,
        "per_kv_token": 0.0,
        "per_prefill_attention": 0.0,
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
def all_targets(names: tuple[str, ...], every_milliseconds: float) -> Iterator[list[Target]]:
    """Start the upstream and the routers named; they end with the block."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine, sidecar, peer, sglang, metrics, learned, learned_peer, plain, plain_peer = _free_ports(9)
        upstream = [sys.executable, "-m", "benchmarks.overhead.upstream", HOST, str(engine)]
        upstream.append(str(every_milliseconds))
        stack.enter_context(_process(upstream, engine, folder))
        targets = [Target(DIRECT, engine, None)]
        for name, port, command in (
            (PRESAGE, sidecar, _sidecar(folder, engine, sidecar, peer, "History")),
            (UNPREDICTED, plain, _sidecar(folder, engine, plain, plain_peer, "Prior")),
            (LEARNED, learned, _sidecar(folder, engine, learned, learned_peer, "Auto")),
            (SGLANG, sglang, _sglang(engine, sglang, metrics)),
        ):
            if name in names:
                process = stack.enter_context(_process(command, port, folder))
                targets.append(Target(name, port, process.pid))
        yield targets


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def _sidecar(folder: Path, engine: int, front: int, peer: int, predictor: str) -> list[str]:
    profile = folder / "profile.json"
    profile.write_text(json.dumps(_PROFILE), encoding="utf-8")
    config = folder / f"{predictor}-router.json"
    config.write_text(
        json.dumps(
            {
                "service": "bench",
                "namespace": "bench",
                "model": MODEL,
                "profile": str(profile),
                "predictor": predictor,
            }
        ),
        encoding="utf-8",
    )
    peers = folder / f"{predictor}-peers.json"
    peers.write_text(json.dumps([{"front": f"{HOST}:{front}", "peer": f"{HOST}:{peer}"}]), encoding="utf-8")
    presage = str(Path(sys.executable).with_name("presage"))
    flags = {
        "--config": config,
        "--engine": f"http://{HOST}:{engine}",
        "--front": f"{HOST}:{front}",
        "--peer": f"{HOST}:{peer}",
        "--advertise": HOST,
        "--peers-file": peers,
    }
    return [presage, "router", *(str(part) for pair in flags.items() for part in pair)]


def _sglang(engine: int, port: int, metrics: int) -> list[str]:
    flags = {
        "--host": HOST,
        "--port": port,
        "--worker-urls": f"http://{HOST}:{engine}",
        "--policy": "round_robin",
        "--log-level": "warn",
        "--prometheus-port": metrics,
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
