"""Presage on a real node: the chart, a service of three pods, clients at the Service address."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from presage_sandbox.node.cluster import NodeCluster
from presage_sandbox.node.containerd import ctr
from presage_sandbox.node.inside import command_inside
from waiting import eventually

ROOT = Path(__file__).parents[2]
NAMESPACE = "presage-e2e"  # its own, so that a test of the quickstart itself does not meet what is left
QUICKSTART = "presage-quickstart"
EXAMPLE = ROOT / "examples" / "quickstart"
INSIDE_PROMETHEUS = "http://10.99.0.1:9090"
PODS = 3

Until = Callable[..., None]


@dataclass(frozen=True)
class Service:
    """The quickstart's service on the node."""

    cluster: NodeCluster
    address: str

    def kube(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the service's namespace."""
        return self.cluster.kube("-n", NAMESPACE, *arguments, stdin=stdin)

    def start_client(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a Python program of this folder in the node's network; it prints one JSON document."""
        command = [sys.executable, str(Path(__file__).parent / program), self.address, *arguments]
        return subprocess.Popen(
            command_inside(self.cluster.layout.state, *command),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def client(self, program: str, *arguments: str) -> Any:
        """Run such a program and return what it printed."""
        return answer_of(self.start_client(program, *arguments))

    def pods(self) -> list[dict[str, Any]]:
        """Give the service's pods that are not being deleted."""
        found = json.loads(self.kube("get", "pods", "-l", "presage.dev/service=chat", "-o", "json"))
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self) -> list[dict[str, Any]]:
        """Give those that are ready."""
        return [pod for pod in self.pods() if condition(pod, "Ready") == "True"]

    def status(self) -> dict[str, Any]:
        """Give the LLMService's status."""
        found: dict[str, Any] = json.loads(self.kube("get", "llmsvc", "chat", "-o", "json"))
        return found.get("status", {})

    def kill(self, pod: dict[str, Any], container: str) -> None:
        """Kill a container's process, as a crash would."""
        states = [*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]]
        (found,) = [each["containerID"] for each in states if each["name"] == container]
        kill = ctr("tasks", "kill", "--signal", "SIGKILL", found.removeprefix("containerd://"))
        state = self.cluster.layout.state
        subprocess.run(command_inside(state, *kill, mounts=True), check=True, capture_output=True)


def answer_of(client: "subprocess.Popen[str]") -> Any:
    """Wait for a client program and return its JSON; AssertionError with its words when it failed."""
    out, err = client.communicate(timeout=100)
    assert client.returncode == 0, err
    return json.loads(out)


def condition(pod: dict[str, Any], name: str) -> str:
    """Give a condition's status."""
    found = pod["status"].get("conditions", [])
    return next((each["status"] for each in found if each["type"] == name), "Unknown")


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait until something is so; fail with `what` when it is not in time."""
    return eventually


@pytest.fixture(scope="module")
def presage(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeCluster]:
    """Install the chart with Helm, as its README says, with the image loaded on the node."""
    home = tmp_path_factory.mktemp("helm")
    folders = {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}
    environment = {**os.environ, **folders, "KUBECONFIG": str(node_cluster.kubeconfig)}

    def helm(*arguments: str) -> None:
        command = [str(node_cluster.helm), *arguments, "--namespace", "presage-system"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=90
        )
        assert done.returncode == 0, done.stderr

    image = ("--set", "image.repository=presage.dev/presage", "--set", "image.tag=dev")
    helm(
        "upgrade",
        "--install",
        "presage",
        str(ROOT / "charts" / "presage"),
        "--create-namespace",
        "--wait",
        *image,
    )
    yield node_cluster
    helm("uninstall", "presage", "--ignore-not-found", "--wait")


@pytest.fixture(scope="module")
def service(presage: NodeCluster, until: Until) -> Iterator[Service]:
    """Apply the quickstart with the sandbox's Prometheus, pinned to three pods that are all ready."""
    for page in ("1-namespace.yaml", "3-engines.yaml", "4-llmservice.yaml"):
        text = (EXAMPLE / page).read_text().replace(f"http://prometheus.{QUICKSTART}:9090", INSIDE_PROMETHEUS)
        presage.kube("apply", "-f", "-", stdin=text.replace(QUICKSTART, NAMESPACE))
    address = presage.kube("-n", NAMESPACE, "get", "service", "chat", "-o", "jsonpath={.spec.clusterIP}")
    made = Service(presage, f"http://{address}/v1")
    patch = json.dumps({"spec": {"replicas": PODS, "scaling": {"mode": "Auto", "intervalSeconds": 2}}})
    made.kube("patch", "llmsvc", "chat", "--type=merge", "-p", patch)
    until(lambda: len(made.ready_pods()) == PODS, f"{PODS} pods are ready", 90)
    yield made
    presage.kube("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def at_rest(service: Service, until: Until) -> Service:
    """Give the service with all its pods ready, also after a test that killed something."""
    until(lambda: len(service.ready_pods()) == PODS, f"{PODS} pods are ready again", 90)
    return service
