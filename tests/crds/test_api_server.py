"""A real API server serves LLMServices as a Kubernetes user expects, and refuses what is malformed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from presage_crds import LLMService
from presage_sandbox.cluster import Cluster
from presage_sandbox.errors import SandboxError

pytestmark = pytest.mark.cluster

MANIFESTS = Path(__file__).parent / "manifests"
VALID = sorted((MANIFESTS / "valid").glob("*.yaml"))
MALFORMED = sorted((MANIFESTS / "malformed").glob("*.yaml"))


def manifest(name: str) -> dict[str, Any]:
    """Return a valid manifest by its file's name."""
    read: dict[str, Any] = yaml.safe_load((MANIFESTS / "valid" / f"{name}.yaml").read_text())
    return read


def apply(cluster: Cluster, namespace: str, *objects: dict[str, Any], flags: tuple[str, ...] = ()) -> str:
    """Apply objects as a user would; SandboxError with the server's words when one is refused."""
    return cluster.kube("-n", namespace, "apply", *flags, "-f", "-", stdin=yaml.safe_dump_all(objects))


def get(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """Return an LLMService as the server has it."""
    read: dict[str, Any] = json.loads(cluster.kube("-n", namespace, "get", "llmsvc", name, "-o", "json"))
    return read


def write_status(cluster: Cluster, namespace: str, name: str, status: dict[str, Any]) -> None:
    """Write a status by server-side apply, as the operator does."""
    whole = {
        "apiVersion": "presage.dev/v1alpha1",
        "kind": "LLMService",
        "metadata": {"name": name},
        "status": status,
    }
    flags = ("--server-side", "--subresource=status", "--field-manager=presage-operator")
    apply(cluster, namespace, whole, flags=flags)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_is_accepted_and_defaulted_as_the_models_say(path: Path, crd: Cluster, namespace: str) -> None:
    """A valid manifest is accepted, and the server fills in the very defaults of the models."""
    crd.kube("-n", namespace, "apply", "-f", str(path))
    stored = get(crd, namespace, yaml.safe_load(path.read_text())["metadata"]["name"])
    read = LLMService.from_object(stored).spec
    assert stored["spec"] == read.as_object() | {"replicas": read.replicas or 0}


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_malformed_is_refused_by_the_server(path: Path, crd: Cluster, namespace: str) -> None:
    """A malformed manifest is refused, and the server's message names the field."""
    expected = yaml.safe_load(path.read_text())["metadata"]["annotations"]
    with pytest.raises(SandboxError) as refused:
        crd.kube("-n", namespace, "apply", "-f", str(path))
    assert expected["test.presage.dev/field"] in str(refused.value)
    assert re.search(expected["test.presage.dev/message"], str(refused.value))


def test_the_model_cannot_be_changed(crd: Cluster, namespace: str) -> None:
    """Another model in an existing service is refused at spec.model; other changes are not."""
    service = manifest("minimal")
    apply(crd, namespace, service)
    service["spec"]["objectives"] = {"ttftMilliseconds": 2000}
    apply(crd, namespace, service)
    service["spec"]["model"] = "another"
    with pytest.raises(SandboxError, match=r"spec\.model.*immutable"):
        apply(crd, namespace, service)


def test_scaling_by_hand_pins_and_unpins(crd: Cluster, namespace: str) -> None:
    """`kubectl scale` pins; scaling to zero, or a patch with null, hands back to automatic."""
    apply(crd, namespace, manifest("minimal"))
    scale = ("-n", namespace, "scale", "llmsvc", "minimal")
    crd.kube(*scale, "--replicas=3")
    assert get(crd, namespace, "minimal")["spec"]["replicas"] == 3
    crd.kube(*scale, "--replicas=0")
    assert LLMService.from_object(get(crd, namespace, "minimal")).spec.replicas is None
    crd.kube(*scale, "--replicas=4")
    patch = '{"spec":{"replicas":null}}'
    crd.kube("-n", namespace, "patch", "llmsvc", "minimal", "--type=merge", "-p", patch)
    assert LLMService.from_object(get(crd, namespace, "minimal")).spec.replicas is None


def test_the_scale_subresource_reports_replicas_and_selector(crd: Cluster, namespace: str) -> None:
    """`/scale` gives replicas and selector from the status."""
    apply(crd, namespace, manifest("minimal"))
    write_status(crd, namespace, "minimal", {"replicas": 2, "selector": "app=chat"})
    path = f"/apis/presage.dev/v1alpha1/namespaces/{namespace}/llmservices/minimal/scale"
    scale = json.loads(crd.kube("get", "--raw", path))
    assert scale["status"] == {"replicas": 2, "selector": "app=chat"}
    assert scale["spec"].get("replicas", 0) == 0


def test_the_table_says_what_matters(crd: Cluster, namespace: str) -> None:
    """`kubectl get llmsvc` shows mode, replicas, forecast and reason; `inference` lists it too."""
    apply(crd, namespace, manifest("auto"))
    pool = {"name": "h100", "currentReplicas": 3, "desiredReplicas": 5, "reason": "ForecastAboveCapacity"}
    forecast = {
        "model": "SeasonalLevel",
        "generatedAt": "2026-01-01T00:00:00Z",
        "horizonSeconds": 126,
        "quantilePercent": 90,
        "promptTokensPerSecond": 4000,
        "generationTokensPerSecond": 800,
        "tokensPerSecond": 4800,
    }
    status = {"replicas": 3, "readyReplicas": 2, "desiredReplicas": 5, "pools": [pool], "forecast": forecast}
    write_status(crd, namespace, "auto", status)
    header, row = crd.kube("-n", namespace, "get", "llmsvc").splitlines()
    titles = ["NAME", "MODEL", "MODE", "CURRENT", "DESIRED", "READY", "FORECAST", "REASON", "AGE"]
    assert header.split() == titles
    model = "meta-llama/Llama-3.1-8B-Instruct"
    assert row.split()[:-1] == ["auto", model, "Auto", "3", "5", "2", "4800", "ForecastAboveCapacity"]
    for category in ("all", "inference"):
        assert "auto" in crd.kube("-n", namespace, "get", category)


def test_a_whole_status_survives(crd: Cluster, namespace: str) -> None:
    """Every field that the models can write is stored by the server unchanged."""
    stamp = "2026-01-01T00:00:00Z"
    status = {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "desiredReplicas": 3,
        "selector": "app=chat",
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "observedGeneration": 1,
                "lastTransitionTime": stamp,
                "reason": "AsWished",
                "message": "2 of 2 pods are ready",
            }
        ],
        "pools": [
            {
                "name": "h100",
                "currentReplicas": 2,
                "readyReplicas": 2,
                "desiredReplicas": 3,
                "reason": "Forecast",
                "message": "4800 tokens/s are forecast",
                "coldStartSeconds": 96,
                "lastScaleTime": stamp,
            }
        ],
        "forecast": {
            "model": "HoltWinters",
            "generatedAt": stamp,
            "horizonSeconds": 111,
            "quantilePercent": 90,
            "promptTokensPerSecond": 1,
            "generationTokensPerSecond": 2,
            "tokensPerSecond": 3,
        },
    }
    apply(crd, namespace, manifest("minimal"))
    write_status(crd, namespace, "minimal", status)
    stored = get(crd, namespace, "minimal")
    assert stored["status"] == status
    assert LLMService.from_object(stored).status.as_object() == status


def test_a_status_with_one_condition_twice_is_refused(crd: Cluster, namespace: str) -> None:
    """Conditions are a map by type: a second one of a type is refused."""
    apply(crd, namespace, manifest("minimal"))
    condition = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "reason": "AsWished",
        "message": "",
    }
    with pytest.raises(SandboxError, match="conditions"):
        write_status(crd, namespace, "minimal", {"conditions": [condition, condition]})


def test_explain_tells_the_documentation(crd: Cluster) -> None:
    """`kubectl explain` shows fields with their descriptions."""
    told = " ".join(crd.kube("explain", "llmservice.spec.pools").split())
    assert "maxReplicas <integer> -required-" in told
    assert "since it bounds the bill" in told


def test_describe_shows_the_specification(crd: Cluster, namespace: str) -> None:
    """`kubectl describe` shows the object with its defaults."""
    apply(crd, namespace, manifest("minimal"))
    assert "Mode:" in crd.kube("-n", namespace, "describe", "llmsvc", "minimal")


def test_deleting_never_hangs(crd: Cluster, namespace: str) -> None:
    """An LLMService is gone as soon as it is deleted, with no operator there."""
    apply(crd, namespace, manifest("minimal"))
    crd.kube("-n", namespace, "delete", "llmsvc", "minimal", "--timeout=10s")
    assert crd.kube("-n", namespace, "get", "llmsvc", "-o", "name") == ""


def test_an_older_client_without_strictness_loses_only_what_is_unknown(crd: Cluster, namespace: str) -> None:
    """Where a client asks for no strictness, an unknown field is dropped and the rest stored."""
    raw = yaml.safe_dump({**manifest("minimal"), "spec": {**manifest("minimal")["spec"], "novelty": 1}})
    crd.kube("-n", namespace, "apply", "--validate=ignore", "-f", "-", stdin=raw)
    assert "novelty" not in get(crd, namespace, "minimal")["spec"]
