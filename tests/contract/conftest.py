"""Whole pods without a cluster: an engine and a sidecar each, as processes on 127.0.0.x."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PRESAGE = Path(sys.executable).with_name("presage")
MODEL = "test/model"
START_SECONDS = 30

# 5 ms a step whatever is in it; 48 sequences, so that many requests must wait at the fronts.
PROFILE = {
    "name": "contract",
    "coefficients": {
        "fixed": 0.005,
        "per_token": 0.0,
        "per_sequence": 0.0,
        "per_kv_token": 0.0,
        "per_prefill_attention": 0.0,
    },
    "kv_capacity_tokens": 160_000,
    "max_sequences": 48,
    "token_budget": 2048,
}


def free_port(host: str) -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as it:
        it.bind((host, 0))
        port: int = it.getsockname()[1]
        return port


def fetch(url: str) -> tuple[int, str]:
    """Get a URL; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def samples(url: str) -> dict[str, float]:
    """Scrape metrics: `name{labels}` -> value, without the labels that all series share."""
    _, text = fetch(f"{url}/metrics")
    values = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            name, _, labels = series.partition("{")
            kept = [
                label
                for label in labels.rstrip("}").split(",")
                if not label.startswith(("service=", "namespace=", "engine=", "model_name=")) and label
            ]
            values[name + (f"{{{','.join(kept)}}}" if kept else "")] = float(value)
    return values


class Pod:
    """One engine with its sidecar."""

    def __init__(self, host: str, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.engine_url = f"http://{host}:{free_port(host)}"
        self.front = f"{host}:{free_port(host)}"
        self.peer = f"{host}:{free_port(host)}"
        self.engine: subprocess.Popen[bytes] | None = None
        self.sidecar: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start both processes."""
        profile = self.folder / "profile.json"
        profile.write_text(json.dumps(PROFILE))
        config = self.folder / "router.json"
        config.write_text(
            json.dumps({"service": "chat", "namespace": "test", "model": MODEL, "profile": str(profile)})
        )
        port = self.engine_url.rsplit(":", 1)[1]
        self.engine = self._run(
            "engine", "--profile", profile, "--model", MODEL, "--host", self.host, "--port", port,
            "--stream-interval", "8",
        )  # fmt: skip
        self.sidecar = self._run(
            "router", "--config", config, "--engine", self.engine_url, "--front", self.front,
            "--peer", self.peer, "--advertise", self.host, "--peers-file", self.folder / "peers.json",
        )  # fmt: skip

    def _run(self, command: str, *flags: object) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{self.host}-{command}.log").open("wb")
        with log:
            return subprocess.Popen([PRESAGE, command, *map(str, flags)], stdout=log, stderr=log)

    @property
    def ready(self) -> bool:
        """Whether the sidecar says that its engine and itself are ready."""
        return fetch(f"http://{self.peer}/readyz")[0] == 200

    def engine_samples(self) -> dict[str, float]:
        """Scrape the engine."""
        return samples(self.engine_url)

    def sidecar_samples(self) -> dict[str, float]:
        """Scrape the sidecar."""
        return samples(f"http://{self.peer}")

    def kill(self, name: str) -> None:
        """Kill `engine` or `sidecar` as the kernel would."""
        process = self.engine if name == "engine" else self.sidecar
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End what still runs; fail if a sidecar or engine had already ended by itself with an error."""
        for process in (self.sidecar, self.engine):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def logs(self) -> str:
        """Give the end of both logs."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.folder.glob(f"{self.host}-*.log"))
        )


@contextlib.contextmanager
def started(folder: Path, count: int = 2) -> Iterator[list[Pod]]:
    """Start pods that know each other; they are ready when the block begins."""
    pods = [Pod(f"127.0.0.{10 + os.getpid() % 100 + index}", folder) for index in range(count)]
    peers = [{"front": pod.front, "peer": pod.peer} for pod in pods]
    (folder / "peers.json").write_text(json.dumps(peers))
    try:
        for pod in pods:
            pod.start()
        deadline = time.monotonic() + START_SECONDS
        while not all(pod.ready for pod in pods):
            assert time.monotonic() < deadline, "\n".join(pod.logs() for pod in pods)
            time.sleep(0.05)
        yield pods
    finally:
        for pod in pods:
            pod.stop()


@pytest.fixture(scope="session")
def shared_pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pod]]:
    """Two pods for tests that break nothing."""
    with started(tmp_path_factory.mktemp("pods")) as pods:
        yield pods


@pytest.fixture
def own_pods(tmp_path: Path) -> Iterator[list[Pod]]:
    """Two pods of this test alone, to be broken."""
    with started(tmp_path) as pods:
        yield pods


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Wait until something holds, or fail with what it gave last."""

    async def wait(holds: Callable[[], Any], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not (last := await asyncio.to_thread(holds)):
            assert time.monotonic() < deadline, last
            await asyncio.sleep(0.05)

    return wait
