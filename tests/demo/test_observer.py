"""The demo's eyes and hands on a real API server."""

import time
from pathlib import Path

import pytest
from presage_cli.demo.cluster import Cluster, DemoError
from presage_cli.demo.manifests import Manifests
from presage_cli.demo.observer import Observer
from presage_cli.demo.plan import Plan
from presage_sandbox.cluster import Cluster as Sandbox
from waiting import until

MANIFESTS = Path(__file__).resolve().parents[2] / "examples" / "demo" / "manifests"


@pytest.fixture
def hands(crd: Sandbox) -> Cluster:
    """Connect to the sandbox as the demo does."""
    return Cluster.connect(crd.kubeconfig, None, direct=True)


@pytest.mark.cluster
def test_an_unreachable_cluster_is_named(tmp_path: Path) -> None:
    """A context that does not exist is refused with its name."""
    config = tmp_path / "kubeconfig"
    config.write_text("apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n")
    with pytest.raises(DemoError, match="nowhere"):
        Cluster.connect(config, "nowhere")


@pytest.mark.cluster
def test_the_api_server_accepts_every_manifest(hands: Cluster, plan: Plan, namespace: str) -> None:
    """All that the demo applies passes a real API server, twice over, the LLMServices included."""
    here = plan.model_copy(update={"namespace": namespace})
    manifests = Manifests(MANIFESTS, here, "image:tag", "prometheus:tag")
    data = MANIFESTS.parent / "data"
    for _ in range(2):
        hands.apply(manifests.namespace())
        hands.apply([manifests.data(data / "shape.csv", data / "lengths.csv")])
        for service in here.services:
            hands.apply(manifests.service(service))
        hands.apply(manifests.prometheus(time.time()))
    found = hands.custom.list_namespaced_custom_object("presage.dev", "v1alpha1", namespace, "llmservices")
    assert {each["metadata"]["name"] for each in found["items"]} == set(here.service_names)


@pytest.mark.cluster
def test_a_refused_object_is_named(hands: Cluster, namespace: str) -> None:
    """What the API server refuses is reported by kind and name, with the server's words."""
    bad = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "Bad_Name", "namespace": namespace},
        "spec": {"ports": [{"port": 80}]},
    }
    with pytest.raises(DemoError, match="Service Bad_Name was refused"):
        hands.apply([bad])


@pytest.mark.cluster
def test_the_timeline_follows_the_cluster(hands: Cluster, plan: Plan, namespace: str) -> None:
    """Pods that come, get ready and go, replicas asked for and decisions taken are all seen."""
    here = plan.model_copy(update={"namespace": namespace})
    manifests = Manifests(MANIFESTS, here, "image:tag", "prometheus:tag")
    hands.apply([*manifests.namespace(), *manifests.service(here.services[0])])
    observer = Observer(hands, here)
    observer.start()
    line = observer.timeline.services["predictive"]
    try:
        until(lambda: len(line.pods) == 1, 20, 0.05)
        (pod,) = line.pods
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}}
        hands.core.patch_namespaced_pod_status(pod, namespace, ready)
        until(lambda: bool(line.ready) and line.ready[-1].value == 1, 20, 0.05)
        scale = {"spec": {"replicas": 3}}
        hands.apps.patch_namespaced_deployment_scale("predictive", namespace, scale)
        until(lambda: [step.value for step in line.asked] == [1, 3], 20, 0.05)
        until(lambda: len(line.pods) == 3, 20, 0.05)
        hands.custom.patch_namespaced_custom_object_status(
            *("presage.dev", "v1alpha1", namespace, "llmservices", "predictive"),
            {"status": {"desiredReplicas": 3, "pools": [{"name": "emulated", "message": "because"}]}},
        )
        until(lambda: line.reason == "because" and line.desired[-1].value == 3, 20, 0.05)
        hands.core.delete_namespaced_pod(pod, namespace, grace_period_seconds=0)
        until(lambda: line.pods[pod].gone is not None and line.ready[-1].value == 0, 20, 0.05)
    finally:
        observer.stop()
    assert observer.timeline.services["reactive"].pods == {}
