"""The shared control plane is a real one: controllers, scheduler, access control, Prometheus, faults."""

import dataclasses
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from presage_sandbox.cluster import Cluster
from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import Options
from presage_sandbox.prometheus import configuration
from waiting import until

pytestmark = pytest.mark.cluster

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "paper"}}
CAPACITY = {"cpu": "8", "memory": "16Gi", "pods": "50", "nvidia.com/gpu": "8"}
READY = {"type": "Ready", "status": "True", "reason": "Test", "message": "no kubelet"}
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{operator: Exists}]
      containers: [{name: web, image: none, resources: {limits: {nvidia.com/gpu: 2}}}]
"""


def query(cluster: Cluster, expression: str, at: float | None = None) -> list[Any]:
    """Ask Prometheus; the vector."""
    parameters = {"query": expression} | ({} if at is None else {"time": str(at)})
    answer = httpx.get(f"{cluster.prometheus_url}/api/v1/query", params=parameters, trust_env=False)
    result: list[Any] = answer.raise_for_status().json()["data"]["result"]
    return result


@pytest.fixture
def paper_node(cluster: Cluster) -> Iterator[str]:
    """Make a Node without a kubelet, with eight GPUs."""
    cluster.kube("apply", "-f", "-", stdin=json.dumps(NODE))
    status = {"status": {"capacity": CAPACITY, "allocatable": CAPACITY, "conditions": [READY]}}
    cluster.kube("patch", "node", "paper", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    yield "paper"
    cluster.kube("delete", "node", "paper")


def test_a_deployment_becomes_pods_on_a_node(cluster: Cluster, namespace: str, paper_node: str) -> None:
    """Controllers make the pods, the scheduler binds them, and their readiness comes back as status."""
    cluster.kube("apply", "-n", namespace, "-f", "-", stdin=DEPLOYMENT)

    def bound() -> list[str]:
        pods = json.loads(cluster.kube("get", "pods", "-n", namespace, "-o", "json"))["items"]
        names = [each["metadata"]["name"] for each in pods if each["spec"].get("nodeName") == paper_node]
        return names if len(names) == 2 else []

    for name in until(bound, 20):
        status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        arguments = ("--subresource=status", "--type=merge", "-p", json.dumps(status))
        cluster.kube("patch", "pod", name, "-n", namespace, *arguments)
    ready = ("get", "deployment", "web", "-n", namespace, "-o", "jsonpath={.status.readyReplicas}")
    until(lambda: cluster.kube(*ready) == "2", 20)


def test_a_fresh_namespace_has_its_service_account(cluster: Cluster, namespace: str) -> None:
    """Controllers with keys of their own serve: the default account and the root certificate appear."""
    found = ("get", "serviceaccount/default", "configmap/kube-root-ca.crt", "-n", namespace)
    until(lambda: succeeds(cluster, *found), 20)
    token = cluster.kube("create", "token", "default", "-n", namespace).strip()
    trust = str(cluster.layout.certificates / "ca.crt")
    who = subprocess.run(
        [
            cluster.kubectl,
            f"--server={cluster.apiserver_url}",
            f"--certificate-authority={trust}",
            f"--token={token}",
            "--kubeconfig=/dev/null",
            *("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert who.stdout == f"system:serviceaccount:{namespace}:default"


def succeeds(cluster: Cluster, *arguments: str) -> bool:
    """Whether kubectl succeeds."""
    try:
        cluster.kube(*arguments)
    except SandboxError:
        return False
    return True


@pytest.mark.parametrize(
    ("user", "verb", "resource", "allowed"),
    [
        ("presage:prometheus", "list", "pods", True),
        ("presage:prometheus", "get", "secrets", False),
        ("presage:coredns", "watch", "endpointslices.discovery.k8s.io", True),
        ("presage:coredns", "delete", "pods", False),
        ("system:anonymous", "list", "pods", False),
        ("system:kube-scheduler", "create", "bindings", True),
        ("system:kube-scheduler", "delete", "nodes", False),
    ],
)
def test_access_is_controlled(cluster: Cluster, user: str, verb: str, resource: str, allowed: bool) -> None:
    """Each component may do what it needs and no more."""
    assert succeeds(cluster, "auth", "can-i", verb, resource, f"--as={user}") == allowed


def test_the_api_is_refused_without_a_token(cluster: Cluster) -> None:
    """Strangers on this machine get nothing from the API server, and nothing from etcd."""
    trust = {"verify": False, "trust_env": False}
    assert httpx.get(f"{cluster.apiserver_url}/api/v1/pods", **trust).status_code == 403  # type: ignore[arg-type]
    with pytest.raises(httpx.TransportError):
        httpx.get(f"https://127.0.0.1:{cluster.layout.ports['etcd']}/health", **trust)  # type: ignore[arg-type]


def test_the_crd_fixture_serves_the_api(crd: Cluster, namespace: str) -> None:
    """With the fixture `crd`, LLMServices can be listed and explained."""
    assert "llmsvc" in crd.kube("api-resources", "--api-group=presage.dev")
    assert crd.kube("get", "llmservices", "-n", namespace, "-o", "jsonpath={.items}") == "[]"


def test_the_api_server_restarts_and_everything_goes_on(cluster: Cluster, namespace: str) -> None:
    """After a restart the data is there, and controllers and scheduler work again."""
    cluster.kube("create", "configmap", "kept", "-n", namespace, "--from-literal=a=b")
    cluster.restart("kube-apiserver")
    assert cluster.kube("get", "configmap", "kept", "-n", namespace, "-o", "jsonpath={.data.a}") == "b"
    cluster.kube("apply", "-n", namespace, "-f", "-", stdin=DEPLOYMENT)
    pods = ("get", "pods", "-n", namespace, "-o", "name")
    # Clients of an API server that was away wait up to half a minute before they look again.
    until(lambda: len(cluster.kube(*pods).split()) == 2, 60)
    Cluster.of(cluster.layout.state)  # healthy, all of them


class Metrics(http.server.BaseHTTPRequestHandler):
    """Serves one gauge."""

    def do_GET(self) -> None:
        """Answer every path with the gauge."""
        body = b'answer{service="deep"} 42\n'
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@pytest.fixture
def target(cluster: Cluster) -> Iterator[Path]:
    """Serve a gauge and have Prometheus scrape it through a file in `targets_dir`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        file = cluster.targets_dir / "metrics.json"
        targets = [f"127.0.0.1:{server.server_port}"]
        file.write_text(json.dumps([{"targets": targets, "labels": {"namespace": "here"}}]))
        yield file
        file.unlink()
        server.shutdown()
        thread.join()


def test_prometheus_scrapes_files_and_survives_a_stop(cluster: Cluster, target: Path) -> None:
    """A target file is scraped within seconds; stopped, Prometheus refuses; started again, it remembers."""
    sample = until(lambda: query(cluster, 'answer{service="deep", namespace="here"}'), 20)
    scraped = float(sample[0]["value"][0])
    assert sample[0]["value"][1] == "42"
    cluster.stop("prometheus")
    try:
        with pytest.raises(httpx.ConnectError):
            query(cluster, "answer")
        with pytest.raises(SandboxError, match="not healthy: prometheus"):
            Cluster.of(cluster.layout.state)
    finally:
        cluster.start("prometheus")
    assert query(cluster, "answer", at=scraped)


def test_an_unknown_program_is_answered_with_the_known_ones(cluster: Cluster) -> None:
    """A typing error in a program's name is told, with the names there are."""
    with pytest.raises(SandboxError, match=r"no program 'apiserver' .* runs etcd, kube-apiserver, "):
        cluster.restart("apiserver")


def test_prometheus_accepts_the_node_s_configuration(cluster: Cluster, tmp_path: Path) -> None:
    """The configuration with pods as targets passes promtool's check."""
    layout = dataclasses.replace(cluster.layout, options=Options(node=True, scrape_interval_seconds=3))
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(configuration(layout)))
    promtool = cluster.layout.binary("promtool")
    told = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
