"""A world for the operator under test: a service on a real API server, pods played, load really scraped.

What is played is only what a node would do (pods become ready) and what sidecars would count; both
reach the operator the way they do in production, through the API server and Prometheus.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from presage_sandbox.cluster import Cluster

GAUGES = {
    "presage_router_kv_usage": 0.1,
    "presage_router_anticipated_overload": 0.0,
    "presage_router_anticipated_peak": 0.1,
    "presage_router_inflight_requests": 1.0,
    "presage_router_waiting_requests": 0.0,
    "presage_router_engine_ready": 1.0,
}
COUNTERS = (
    "presage_router_prompt_tokens_total",
    "presage_router_predicted_output_tokens_total",
    "presage_router_output_tokens_total",
    "presage_router_served_prompt_tokens_total",
)


@dataclass
class Sidecar:
    """What one pod's sidecar exports: counters that grow at `rates` per second, and gauges."""

    labels: str
    rates: dict[str, float]
    gauges: dict[str, float] = field(default_factory=lambda: dict(GAUGES))
    counts: dict[str, float] = field(default_factory=dict)
    at: float = field(default_factory=time.monotonic)

    def exposition(self) -> str:
        """Return the text that Prometheus scrapes, counters grown since the last time."""
        now = time.monotonic()
        for name, rate in self.rates.items():
            self.counts[name] = self.counts.get(name, 0.0) + rate * (now - self.at)
        self.at = now
        lines = [f"{self._series(name)} {value}" for name, value in {**self.counts, **self.gauges}.items()]
        return "\n".join(lines) + "\n"

    def _series(self, name: str) -> str:
        base, _, more = name.partition("|")
        return f"{base}{{{self.labels}{',' + more if more else ''}}}"


class ScrapedPods:
    """Sidecars on one real HTTP endpoint, announced to Prometheus; runs in a thread of its own."""

    def __init__(self, targets_file: Path, namespace: str, service: str) -> None:
        self._file = targets_file
        self._labels = f'namespace="{namespace}",service="{service}"'
        self._namespace = namespace
        self._sidecars: dict[str, Sidecar] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._started = threading.Event()
        self._port = 0

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        """Stop listening and withdraw the targets."""
        self._file.unlink(missing_ok=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def load(self, pod: str, prompt: float, output: float, **gauges: float) -> None:
        """Let a pod export tokens per second (1,000 prompt tokens a request) and gauges by short name."""
        requests = prompt / 1000
        sidecar = self._sidecars.get(pod)
        if sidecar is None:
            sidecar = self._sidecars[pod] = Sidecar(self._labels, {})
        sidecar.exposition()  # what was counted so far grew at the former rates
        sidecar.rates = {
            "presage_router_prompt_tokens_total": prompt,
            "presage_router_served_prompt_tokens_total": prompt,
            "presage_router_predicted_output_tokens_total": output,
            "presage_router_output_tokens_total": output,
            'presage_router_requests_total|outcome="ok"': requests,
            'presage_router_slo_requests_total|met="true"': requests,
            'presage_router_slo_requests_total|met="false"': 0.0,
        }
        sidecar.gauges.update({f"presage_router_{name}": value for name, value in gauges.items()})
        self._announce()

    def silence(self, pod: str) -> None:
        """Take a pod's sidecar away."""
        self._sidecars.pop(pod, None)
        self._announce()

    def pods(self) -> list[str]:
        """Return the pods that export."""
        return list(self._sidecars)

    def _announce(self) -> None:
        groups = [
            {
                "targets": [f"127.0.0.1:{self._port}"],
                "labels": {"__metrics_path__": f"/{pod}", "pod": pod, "namespace": self._namespace},
            }
            for pod in self._sidecars
        ]
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(groups))
        fresh.replace(self._file)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._listen())
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _listen(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{pod}", self._scraped)
        runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = int(runner.addresses[0][1])
        return runner

    async def _scraped(self, request: web.Request) -> web.Response:
        sidecar = self._sidecars.get(request.match_info["pod"])
        if sidecar is None:
            raise web.HTTPNotFound
        return web.Response(text=sidecar.exposition())


@dataclass
class Service:
    """One LLMService `chat` with its Deployment and Service on the cluster."""

    cluster: Cluster
    namespace: str
    scraped: ScrapedPods
    name: str = "chat"
    endpoints: list[str] = field(default_factory=list)  # pods in the EndpointSlice

    def spec(self, **scaling: Any) -> dict[str, Any]:
        """Return a spec in compressed time; `scaling` overrides fields of spec.scaling."""
        quick = {"stabilizationWindowSeconds": 0}
        return {
            "model": "llama",
            "objectives": {"ttftMilliseconds": 2000, "tpotMilliseconds": 100, "percentile": 99},
            "pools": [{"name": "main", "scaleTargetRef": {"name": self.name}, "maxReplicas": 6}],
            "scaling": {
                "mode": "Auto",
                "intervalSeconds": 1,
                "coldStartSeconds": 5,
                "forecast": {"windowSeconds": 5, "seasonSeconds": 60, "historySeconds": 300},
                "behavior": {"scaleDown": quick},
                **scaling,
            },
            "metrics": {"prometheus": {"address": self.cluster.prometheus_url, "staleAfterSeconds": 10}},
        }

    def create(self, replicas: int = 1, spec: dict[str, Any] | None = None) -> None:
        """Create the Deployment, the Service and the LLMService."""
        self.apply(self._deployment(replicas), self._front())
        self.declare(spec or self.spec())

    def declare(self, spec: dict[str, Any]) -> None:
        """Create or replace the LLMService."""
        self.apply(
            {
                "apiVersion": "presage.dev/v1alpha1",
                "kind": "LLMService",
                "metadata": {"name": self.name},
                "spec": spec,
            }
        )

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects as a user does."""
        self.cluster.kube("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump_all(objects))

    def get(self) -> dict[str, Any]:
        """Return the LLMService as it is."""
        return self._json("get", "llmsvc", self.name)

    def status(self) -> dict[str, Any]:
        """Return its status."""
        return dict(self.get().get("status", {}))

    def condition(self, kind: str) -> dict[str, Any]:
        """Return a condition; empty while there is none."""
        return next((c for c in self.status().get("conditions", []) if c["type"] == kind), {})

    def replicas(self) -> int:
        """Return what the Deployment has been asked for."""
        return int(self._json("get", "deployment", self.name)["spec"]["replicas"])

    def scale(self, replicas: int) -> None:
        """Scale the Deployment by hand."""
        self.cluster.kube("scale", "-n", self.namespace, "deployment", self.name, f"--replicas={replicas}")

    def events(self) -> list[tuple[str, str]]:
        """Return (reason, message) of the Events about the LLMService, oldest first."""
        found = self._json("get", "events", "--field-selector=involvedObject.kind=LLMService")["items"]
        found.sort(key=lambda event: event["metadata"]["creationTimestamp"])
        return [(event["reason"], event["message"]) for event in found]

    def play_node(self, prompt: float = 50.0, output: float = 10.0, **gauges: float) -> None:
        """Do a node's part once: every pod becomes ready and an endpoint, and takes its share of the load."""
        pods = self._json("get", "pods", f"-l=presage.dev/service={self.name}")["items"]
        names = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        for pod in pods:
            ready = any(c["type"] == "Ready" for c in pod.get("status", {}).get("conditions", []))
            if pod["metadata"]["name"] in names and not ready:
                self._make_ready(pod["metadata"]["name"])
        for name in names:
            self.scraped.load(name, prompt / len(names), output / len(names), **gauges)
        if names != self.endpoints:
            self.apply(self._slice(names))
            self.endpoints = names
        for gone in set(self.scraped.pods()) - set(names):
            self.scraped.silence(gone)

    def _make_ready(self, pod: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": stamp}
        patch = json.dumps({"status": {"phase": "Running", "conditions": [condition]}})
        with contextlib.suppress(Exception):  # it may have been deleted meanwhile
            self.cluster.kube(
                "patch", "-n", self.namespace, "pod", pod, "--subresource=status", "--type=merge", "-p", patch
            )

    def _json(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.cluster.kube(*arguments, "-n", self.namespace, "-o", "json")))

    def _deployment(self, replicas: int) -> dict[str, Any]:
        labels = {"presage.dev/service": self.name}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "engine", "image": "none"}],
                    },
                },
            },
        }

    def _front(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.name},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
        }

    def _slice(self, pods: list[str]) -> dict[str, Any]:
        """Return what the endpoints controller would write if the pods had a node."""
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": self.name, "labels": {"kubernetes.io/service-name": self.name}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [f"10.88.0.{at + 1}"], "conditions": {"ready": True}} for at in range(len(pods))
            ],
            "ports": [{"name": "http", "port": 8000}],
        }


@dataclass
class OperatorProcess:
    """`presage operator` as a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Base address of its HTTP port."""
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def operator_process(
    cluster: Cluster,
    namespace: str,
    log: Path,
    *,
    lease_seconds: int = 3,
    everywhere: bool = False,
    kubeconfig: Path | None = None,
) -> Iterator[OperatorProcess]:
    """Run an operator for one namespace or all; its lease is in `namespace`. Ended with SIGTERM at last.

    It is administrator unless another kubeconfig is given.
    """
    port = free_port()
    scope = [] if everywhere else [f"--namespace={namespace}"]
    command = [
        sys.executable,
        "-c",
        "from presage_cli.main import app; app()",
        "operator",
        *scope,
        f"--lease-namespace={namespace}",
        "--host=127.0.0.1",
        f"--port={port}",
        f"--lease-seconds={lease_seconds}",
    ]

    environment = {**os.environ, "KUBECONFIG": str(kubeconfig or cluster.kubeconfig)}
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=environment, stderr=out, stdout=out)
    try:
        yield OperatorProcess(process, port, log)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@pytest.fixture
def chat(crd: Cluster, namespace: str) -> Iterator[Service]:
    """Give a service `chat` that can be created on the cluster, and sidecars that are scraped."""
    scraped = ScrapedPods(crd.targets_dir / f"{namespace}.json", namespace, "chat")
    scraped.start()
    yield Service(crd, namespace, scraped)
    scraped.stop()
