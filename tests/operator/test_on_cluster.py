"""The operator against a real API server and Prometheus: what a user sees with kubectl."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
import yaml
from operator_world import OperatorProcess, Service, operator_process
from presage_sandbox.cluster import Cluster
from waiting import until

BUSY = 12_000.0  # prompt tokens per second: several pods' worth
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def operator(crd: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """Run one operator for the whole cluster."""
    name = "operator-under-test"
    crd.kube("create", "namespace", name)
    log = tmp_path_factory.mktemp("operator") / "log"
    with operator_process(crd, name, log, everywhere=True) as process:
        yield process
    crd.kube("delete", "namespace", name, "--wait=false")


def reason(chat: Service, kind: str) -> str:
    """Return status and reason of a condition, joined."""
    condition = chat.condition(kind)
    return f"{condition.get('status')} {condition.get('reason')}"


def played(chat: Service, what: str, prompt: float = 50.0, **gauges: float) -> bool:
    """Play the node's part and tell whether the Deployment is asked for so many replicas."""
    chat.play_node(prompt, prompt / 5, **gauges)
    return str(chat.replicas()) in what


def test_load_moves_pods_and_the_status_tells_why(operator: OperatorProcess, chat: Service) -> None:
    """Pods are added for load and taken away after it; status, Events, metrics and kubectl say why."""
    chat.create(1)
    until(lambda: played(chat, "1") and reason(chat, "Ready") == "True Serving", 40)
    assert reason(chat, "ScalingActive").startswith("True")
    until(lambda: played(chat, "23456", prompt=BUSY), 40)
    until(lambda: chat.status()["pools"][0].get("lastScaleTime"))
    until(lambda: played(chat, "1", prompt=20.0), 60)
    told = chat.events()
    assert any(what == "ScaledUp" and "tokens/s" in why for what, why in told)
    assert any(what == "ScaledDown" for what, why in told)
    row = chat.cluster.kube("get", "llmsvc", "-n", chat.namespace)
    assert row.split("\n")[0].split()[:6] == ["NAME", "MODEL", "MODE", "CURRENT", "DESIRED", "READY"]
    metrics = httpx.get(f"{operator.url}/metrics").text
    assert (
        f'presage_operator_desired_replicas{{name="chat",namespace="{chat.namespace}",pool="main"}}'
        in metrics
    )
    assert "presage_operator_leader 1.0" in metrics
    assert httpx.get(f"{operator.url}/readyz").status_code == 200
    assert httpx.get(f"{operator.url}/livez").status_code == 200
    status = chat.status()
    assert status["pools"][0]["coldStartSeconds"] < 30
    assert {c["observedGeneration"] for c in status["conditions"]} == {chat.get()["metadata"]["generation"]}
    assert {c["type"] for c in status["conditions"]} == {
        "Ready",
        "TargetResolved",
        "MetricsAvailable",
        "ForecastReady",
        "ScalingActive",
        "RouterReady",
    }


def test_nothing_of_kopf_stays_on_the_object_and_deletion_is_immediate(
    operator: OperatorProcess, chat: Service
) -> None:
    """No finalizer and no annotation is written; status belongs to one manager; what it owned goes too."""
    chat.create(1)
    until(lambda: chat.status().get("conditions"))
    shown = json.loads(
        chat.cluster.kube(
            "get", "llmsvc", "chat", "-n", chat.namespace, "-o", "json", "--show-managed-fields"
        )
    )
    metadata = shown["metadata"]
    assert "finalizers" not in metadata
    assert set(metadata["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    managers = {(m["manager"], m["operation"], m.get("subresource")) for m in metadata["managedFields"]}
    assert ("presage-operator", "Apply", "status") in managers
    assert {name for name, _, _ in managers} == {"presage-operator", "kubectl-client-side-apply"}
    began = time.monotonic()
    chat.cluster.kube("delete", "llmsvc", "chat", "-n", chat.namespace, "--timeout=10s")
    assert time.monotonic() - began < 5
    until(lambda: "presage-router-chat" not in chat.cluster.kube("get", "cm", "-n", chat.namespace))
    until(lambda: f'namespace="{chat.namespace}"' not in httpx.get(f"{operator.url}/metrics").text)


def test_recommending_writes_nothing_and_auto_acts_at_once(operator: OperatorProcess, chat: Service) -> None:
    """Recommend leaves the target alone whatever it recommends; a change of the mode starts a pass."""
    slow = {"intervalSeconds": 3600}
    chat.create(1, chat.spec(mode="Recommend"))
    until(lambda: played(chat, "1", prompt=BUSY) and chat.status().get("desiredReplicas", 0) > 1, 40)
    assert chat.replicas() == 1
    assert reason(chat, "ScalingActive") == "False RecommendOnly"
    chat.declare(chat.spec(mode="Recommend", **slow))
    until(lambda: chat.status()["observedGeneration"] == 2, 10)
    chat.declare(chat.spec(mode="Auto", **slow))
    until(lambda: chat.replicas() > 1, 10)  # how many depends on the load of that very moment


def test_another_autoscaler_reads_the_number(operator: OperatorProcess, chat: Service) -> None:
    """Mode External writes nothing and serves JSON with the number that the status shows."""
    chat.create(1, chat.spec(mode="External", external={"address": f"127.0.0.1:{operator.port}"}))
    until(lambda: played(chat, "1", prompt=BUSY) and chat.status().get("desiredReplicas", 0) > 1, 40)
    served = httpx.get(f"{operator.url}/external/{chat.namespace}/chat")
    assert served.json()["desiredReplicas"] > 1
    assert chat.replicas() == 1


def test_kubectl_scale_pins_and_zero_unpins(operator: OperatorProcess, chat: Service) -> None:
    """`kubectl scale llmsvc` holds the pool at a number; zero gives it back to the policy."""
    chat.create(1)
    until(lambda: played(chat, "1") and reason(chat, "TargetResolved") == "True TargetFound", 30)
    chat.cluster.kube("scale", "-n", chat.namespace, "llmsvc/chat", "--replicas=4")
    until(lambda: played(chat, "4"), 15)
    until(lambda: reason(chat, "ScalingActive") == "False Pinned", 10)
    chat.cluster.kube("scale", "-n", chat.namespace, "llmsvc/chat", "--replicas=0")
    until(lambda: played(chat, "1"), 40)


def test_a_manual_scale_of_the_target_is_not_fought_up(operator: OperatorProcess, chat: Service) -> None:
    """Pods added by hand are what is there: they go by the rules of scale-down, not at once."""
    held = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}}}
    chat.create(1, chat.spec(**held))
    until(lambda: played(chat, "1") and reason(chat, "MetricsAvailable").startswith("True"), 30)
    chat.scale(5)
    until(lambda: played(chat, "5") and chat.status().get("replicas") == 5, 20)
    for _ in range(5):
        assert played(chat, "5")
        time.sleep(1)


def test_missing_targets_and_kinds_are_told(operator: OperatorProcess, chat: Service) -> None:
    """Each way in which a target cannot be scaled has a reason and names the object."""
    chat.declare(chat.spec())
    until(lambda: reason(chat, "TargetResolved") == "False TargetNotFound", 20)
    assert f"Deployment {chat.namespace}/chat" in chat.condition("TargetResolved")["message"]
    assert reason(chat, "Ready") == "False TargetNotFound"
    spec = chat.spec()
    spec["pools"][0]["scaleTargetRef"] = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}
    chat.declare(spec)
    until(lambda: reason(chat, "TargetResolved") == "False TargetNotScalable", 10)
    spec["pools"][0]["scaleTargetRef"] = {"apiVersion": "ray.io/v1", "kind": "RayService", "name": "x"}
    chat.declare(spec)
    until(lambda: reason(chat, "TargetResolved") == "False TargetKindUnknown", 10)
    spec = chat.spec()
    spec["pools"][0]["engineProfile"] = "tpu-9"
    chat.declare(spec)
    until(lambda: reason(chat, "Ready") == "False InvalidSpec", 10)
    assert "tpu-9" in chat.condition("Ready")["message"]


def test_any_kind_with_scale_can_be_a_target(operator: OperatorProcess, chat: Service) -> None:
    """A StatefulSet is scaled like a Deployment: through /scale, found by discovery."""
    chat.create(1)
    labels = {"presage.dev/service": "chat"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "engine", "image": "none"}]}}
    chat.cluster.kube("delete", "-n", chat.namespace, "deployment", "chat")
    chat.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "chat"},
            "spec": {
                "replicas": 1,
                "serviceName": "chat",
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "template": template,
            },
        }
    )
    spec = chat.spec()
    spec["replicas"] = 3
    spec["pools"][0]["scaleTargetRef"] = {"kind": "StatefulSet", "name": "chat"}
    chat.declare(spec)
    until(lambda: chat.status().get("replicas") == 3, 20)


def test_the_sidecars_config_map_is_kept(operator: OperatorProcess, chat: Service) -> None:
    """It follows the spec and is owned by the service."""
    chat.create(1)

    def written() -> dict[str, object]:
        found = chat.cluster.kube(
            "get", "cm", "presage-router-chat", "-n", chat.namespace, "--ignore-not-found", "-o", "json"
        )
        return dict(yaml.safe_load(json.loads(found)["data"]["router.yaml"])) if found else {}

    assert until(written)["policy"] == "LeastBid"
    spec = chat.spec()
    spec["routing"] = {"policy": "RoundRobin"}
    chat.declare(spec)
    until(lambda: written()["policy"] == "RoundRobin", 10)


def test_a_settled_service_is_not_written_again_and_again(operator: OperatorProcess, chat: Service) -> None:
    """With nothing to scrape and nothing to do, ten passes leave the object's version alone."""
    chat.create(1)
    until(lambda: reason(chat, "MetricsAvailable") == "False NoSamples", 20)
    time.sleep(3)
    before = chat.get()["metadata"]["resourceVersion"]
    time.sleep(10)
    assert chat.get()["metadata"]["resourceVersion"] == before
