"""The quickstart on a real node, installed as its README says: it answers, drains, and goes away again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from presage_sandbox.node.cluster import NodeCluster
from presage_sandbox.node.inside import command_inside

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
NAMESPACE = "presage-quickstart"
# Without Prometheus: it is no part of what is claimed here, and its image would have to be loaded too.
MANIFESTS = ("1-namespace.yaml", "3-engines.yaml", "4-llmservice.yaml")
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ASK = """\
import sys, urllib.request
url, body, tokens = sys.argv[1:]
headers = {"content-type": "application/json", "x-emulated-output-tokens": tokens}
request = urllib.request.Request(url + "/v1/chat/completions", body.encode(), headers)
with urllib.request.urlopen(request, timeout=120) as answer:
    for line in answer:
        print(line.decode(), end="", flush=True)
"""


def helm(cluster: NodeCluster, *arguments: str) -> None:
    """Run Helm as administrator; CalledProcessError when it fails."""
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    subprocess.run([cluster.helm, *arguments], env=environment, check=True, timeout=180, capture_output=True)


@pytest.fixture(scope="module")
def quickstart(node_cluster: NodeCluster) -> Iterator[NodeCluster]:
    """Install chart and example; taken away afterwards."""
    kube = node_cluster.kube
    kube("delete", "crd", "llmservices.presage.dev", "--ignore-not-found", "--timeout=30s")
    place = ("--namespace", "presage-system")
    flags = (*place, "--create-namespace", "--set", "image.tag=dev", "--wait", "--timeout", "120s")
    helm(node_cluster, "install", "presage", str(ROOT / "charts" / "presage"), *flags)
    for name in MANIFESTS:
        kube("apply", "-f", str(ROOT / "examples" / "quickstart" / name))
    wait_for_pods(node_cluster)
    yield node_cluster
    kube("delete", "namespace", NAMESPACE, "--wait=false")
    helm(node_cluster, "uninstall", "presage", *place)


def wait_for_pods(cluster: NodeCluster) -> None:
    """Wait until the Deployment has what it asks for; SandboxError after a minute."""
    cluster.kube("-n", NAMESPACE, "rollout", "status", "deployment/chat", "--timeout=55s")


def ask(cluster: NodeCluster, address: str, tokens: int, *, stream: bool) -> subprocess.Popen[str]:
    """Begin a chat completion from the node, for an answer of that many tokens."""
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": MODEL, "stream": stream, "max_tokens": tokens, "messages": messages}
    question = (sys.executable, "-c", ASK, f"http://{address}", json.dumps(body), str(tokens))
    command = command_inside(cluster.layout.state, *question)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_service_answers(quickstart: NodeCluster) -> None:
    """A chat completion through the Service's address is answered by an engine behind a sidecar."""
    address = quickstart.kube("-n", NAMESPACE, "get", "service", "chat", "-o", "jsonpath={.spec.clusterIP}")
    told, error = ask(quickstart, address, 5, stream=False).communicate(timeout=60)
    assert json.loads(told)["usage"]["completion_tokens"] == 5, error


def test_the_operator_reports(quickstart: NodeCluster) -> None:
    """`kubectl get llmsvc` says what is there, in mode Recommend, which moves nothing."""
    deadline = time.monotonic() + 60
    row: list[str] = []
    while time.monotonic() < deadline and row[:5] != ["chat", MODEL, "Recommend", "1", "1"]:
        row = quickstart.kube("-n", NAMESPACE, "get", "llmsvc", "--no-headers").split()
        time.sleep(1)
    assert row[:5] == ["chat", MODEL, "Recommend", "1", "1"]


def test_a_pod_that_goes_finishes_its_answers(quickstart: NodeCluster) -> None:
    """A stream that runs when its pod is deleted goes on to its end; the pod goes well before its grace."""
    labelled = ("-n", NAMESPACE, "get", "pod", "-l", "presage.dev/service=chat")
    name, address = quickstart.kube(
        *labelled, "-o", "jsonpath={.items[0].metadata.name} {.items[0].status.podIP}"
    ).split()
    stream = ask(quickstart, f"{address}:8000", 500, stream=True)
    assert stream.stdout is not None
    first = stream.stdout.readline()
    began = time.monotonic()
    quickstart.kube("-n", NAMESPACE, "delete", "pod", name, "--wait=false")
    rest, error = stream.communicate(timeout=80)
    quickstart.kube("-n", NAMESPACE, "wait", "--for=delete", f"pod/{name}", "--timeout=50s")
    chunks = [line for line in (first + rest).splitlines() if line.startswith("data: ")]
    assert chunks[-1] == "data: [DONE]", error
    assert len(chunks) > 500
    assert time.monotonic() - began < 60
    wait_for_pods(quickstart)


def test_deleting_the_service_ends_at_once(quickstart: NodeCluster) -> None:
    """Deleting the LLMService takes its ConfigMap along and leaves the pods running."""
    quickstart.kube("-n", NAMESPACE, "get", "configmap", "presage-router-chat")
    quickstart.kube("-n", NAMESPACE, "delete", "llmsvc", "chat", "--timeout=10s")
    deadline = time.monotonic() + 60
    listed = ("-n", NAMESPACE, "get", "configmap", "-o", "name")
    while time.monotonic() < deadline and "presage-router-chat" in quickstart.kube(*listed):
        time.sleep(1)
    assert "presage-router-chat" not in quickstart.kube(*listed)
    ready = ("-n", NAMESPACE, "get", "deployment", "chat", "-o", "jsonpath={.status.readyReplicas}")
    assert quickstart.kube(*ready) == "1"
