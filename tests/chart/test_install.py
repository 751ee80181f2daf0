"""The chart on a real API server: install, upgrade, uninstall, and what the operator may and may not do."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from presage_sandbox.cluster import Cluster
from presage_sandbox.errors import SandboxError
from waiting import eventually

from tests.chart.conftest import CHART, Helm

pytestmark = pytest.mark.cluster

NAMESPACE = "presage-system"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:presage-operator"
SERVICE = """\
apiVersion: presage.dev/v1alpha1
kind: LLMService
metadata: {name: chat}
spec:
  model: m
  pools: [{name: gpu, scaleTargetRef: {name: chat}, maxReplicas: 4}]
  scaling: {mode: Auto, intervalSeconds: 1}
  metrics: {prometheus: {address: "http://127.0.0.1:9"}}
"""
TARGET = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: chat}
spec:
  replicas: 2
  selector: {matchLabels: {presage.dev/service: chat}}
  template:
    metadata: {labels: {presage.dev/service: chat}}
    spec: {containers: [{name: engine, image: none}]}
"""


@pytest.fixture
def release(cluster: Cluster, helm: Helm) -> Iterator[Helm]:
    """Install the chart; taken away afterwards."""
    # Another module may have installed the definition without Helm, which Helm would rightly not adopt.
    cluster.kube("delete", "crd", "llmservices.presage.dev", "--ignore-not-found", "--timeout=30s")
    install(helm)
    yield helm
    helm("uninstall", "presage", "--namespace", NAMESPACE, "--ignore-not-found")


def install(helm: Helm, *flags: str) -> None:
    """Install as the README says."""
    helm("install", "presage", str(CHART), "--namespace", NAMESPACE, "--create-namespace", *flags)


def apply(cluster: Cluster, namespace: str, text: str) -> None:
    """Apply a manifest once the definition is served."""
    cluster.kube("wait", "crd/llmservices.presage.dev", "--for=condition=Established", "--timeout=30s")
    cluster.kube("-n", namespace, "apply", "-f", "-", stdin=text)


def test_upgrade_changes_operator_and_definition(release: Helm, cluster: Cluster) -> None:
    """`helm upgrade` changes the operator, and puts right a definition that has become another."""
    patch = '[{"op":"remove","path":"/spec/versions/0/additionalPrinterColumns"}]'
    cluster.kube("patch", "crd", "llmservices.presage.dev", "--type=json", "-p", patch)
    flags = ("--namespace", NAMESPACE, "--set", "operator.replicas=2")
    release("upgrade", "presage", str(CHART), *flags)
    columns = ".spec.versions[0].additionalPrinterColumns[*].name"
    shown = cluster.kube("get", "crd", "llmservices.presage.dev", "-o", f"jsonpath={{{columns}}}")
    assert "Forecast" in shown
    deployment = ("-n", NAMESPACE, "get", "deployment", "presage-operator")
    assert cluster.kube(*deployment, "-o", "jsonpath={.spec.replicas}") == "2"


def test_uninstall_leaves_services_that_can_be_deleted(
    release: Helm, cluster: Cluster, namespace: str
) -> None:
    """After `helm uninstall` LLMServices stay and can be deleted at once; Helm then takes over again."""
    apply(cluster, namespace, SERVICE)
    release("uninstall", "presage", "--namespace", NAMESPACE)
    assert (
        cluster.kube("-n", namespace, "get", "llmsvc", "-o", "name").strip() == "llmservice.presage.dev/chat"
    )
    cluster.kube("-n", namespace, "delete", "llmsvc", "chat", "--timeout=10s")
    install(release)


def test_uninstall_without_keep_takes_everything(release: Helm, cluster: Cluster, namespace: str) -> None:
    """With crds.keep=false `helm uninstall` ends by itself, and definition and services are gone."""
    apply(cluster, namespace, SERVICE)
    release("upgrade", "presage", str(CHART), "--namespace", NAMESPACE, "--set", "crds.keep=false")
    release("uninstall", "presage", "--namespace", NAMESPACE, "--wait", "--timeout", "30s")
    with pytest.raises(SandboxError, match="NotFound"):
        cluster.kube("get", "crd", "llmservices.presage.dev")


MAY = [
    "list llmservices.presage.dev",
    "watch llmservices.presage.dev",
    "patch llmservices.presage.dev status",
    "get deployments.apps scale",
    "patch statefulsets.apps scale",
    "list pods",
    "create configmaps",
    "create events",
]
MAY_NOT = [
    "patch llmservices.presage.dev",
    "delete llmservices.presage.dev",
    "patch deployments.apps",
    "get secrets",
    "list secrets",
    "list configmaps",
    "delete configmaps",
    "delete pods",
    "create pods",
    "patch nodes",
    "create clusterrolebindings.rbac.authorization.k8s.io",
]


def can(cluster: Cluster, what: str, account: str, namespace: str) -> bool:
    """Ask the API server whether the account may do that: verb, resource, perhaps a subresource."""
    verb, resource, *subresource = what.split()
    flags = [f"--subresource={name}" for name in subresource]
    with contextlib.suppress(SandboxError):  # "no" is exit code 1
        question = ("auth", "can-i", verb, resource, *flags, f"--as={account}", "-n", namespace)
        return cluster.kube(*question).strip() == "yes"
    return False


def test_the_operator_may_do_its_work_and_nothing_else(release: Helm, cluster: Cluster) -> None:
    """The API server grants the operator's account what it needs and refuses the rest."""
    assert [what for what in MAY if not can(cluster, what, ACCOUNT, "default")] == []
    assert [what for what in MAY_NOT if can(cluster, what, ACCOUNT, "default")] == []
    lease = "leases.coordination.k8s.io/presage-operator"
    assert can(cluster, f"update {lease}", ACCOUNT, NAMESPACE)
    assert not can(cluster, f"delete {lease}", ACCOUNT, NAMESPACE)
    assert not can(cluster, "update leases.coordination.k8s.io/another", ACCOUNT, NAMESPACE)
    assert can(cluster, "create leases.coordination.k8s.io", ACCOUNT, NAMESPACE)
    assert not can(cluster, "create leases.coordination.k8s.io", ACCOUNT, "default")


def test_editors_edit_and_viewers_view(release: Helm, cluster: Cluster, namespace: str) -> None:
    """Kubernetes' own roles edit and view cover LLMServices once the chart is installed."""
    for role in ("edit", "view"):
        binding = ("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}or")
        cluster.kube("-n", namespace, *binding)
    change, look = "create llmservices.presage.dev", "list llmservices.presage.dev"
    eventually(lambda: can(cluster, change, "editor", namespace), "editors may create LLMServices", 30)
    eventually(lambda: can(cluster, look, "viewor", namespace), "viewers may list LLMServices", 30)
    assert not can(cluster, change, "viewor", namespace)


@pytest.mark.parametrize("chosen", [False, True], ids=["everywhere", "in chosen namespaces"])
def test_the_operator_works_with_these_rights(
    chosen: bool, release: Helm, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """A real operator under the chart's ServiceAccount reports and configures, and is refused nothing."""
    if chosen:
        flags = ("--namespace", NAMESPACE, "--set", f"operator.namespaces={{{namespace}}}")
        release("upgrade", "presage", str(CHART), *flags)
        assert not can(cluster, "list llmservices.presage.dev", ACCOUNT, "default")
    apply(cluster, namespace, TARGET)
    apply(cluster, namespace, SERVICE)
    watched = (f"--namespace={namespace}",) if chosen else ()
    with operator_as_installed(cluster, tmp_path, *watched) as log:
        status = ("-n", namespace, "get", "llmsvc", "chat", "-o")
        eventually(
            lambda: cluster.kube(*status, "jsonpath={.status.replicas}") == "2",
            "the status names 2 replicas",
            30,
        )
        configured = ("-n", namespace, "get", "configmap", "presage-router-chat", "-o", "name")
        eventually(lambda: bool(cluster.kube(*configured)), "the sidecars' configuration is written", 30)
        finalizers = cluster.kube(*status, "jsonpath={.metadata.finalizers}")
        cluster.kube("-n", namespace, "delete", "llmsvc", "chat", "--timeout=10s")
    assert finalizers == ""
    assert "forbidden" not in log.read_text().lower()


@contextlib.contextmanager
def operator_as_installed(cluster: Cluster, folder: Path, *flags: str) -> Iterator[Path]:
    """Run `presage operator` with the token of the chart's ServiceAccount; yields its log."""
    token = cluster.kube("-n", NAMESPACE, "create", "token", "presage-operator").strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    kubeconfig, log = folder / "kubeconfig", folder / "log"
    kubeconfig.write_text(yaml.safe_dump(config))
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "POD_NAMESPACE": NAMESPACE}
    start = "from presage_cli.main import app; app()"
    command = [sys.executable, "-c", start, "operator", "--host=127.0.0.1", "--port=0", *flags]
    with log.open("w") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process:
        try:
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
