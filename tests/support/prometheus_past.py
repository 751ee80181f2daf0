"""A real Prometheus whose database holds a past that a test wrote."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
from presage_sandbox.layout import Layout
from waiting import until

READY_SECONDS = 20.0


@contextlib.contextmanager
def prometheus_with(past: str, layout: Layout, folder: Path) -> Iterator[str]:
    """Serve a past in OpenMetrics from an empty folder, with nothing to scrape; give the server's address."""
    (folder / "past.om").write_text(past)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    blocks = ["tsdb", "create-blocks-from", "openmetrics", "past.om", "data"]
    subprocess.run([layout.binary("promtool"), *blocks], cwd=folder, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        layout.binary("prometheus"),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _ready(url), READY_SECONDS)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
