"""The example manifests fit together: names, ports, permissions, and time enough to drain."""

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from presage_cli.main import app
from presage_crds import LLMService
from presage_policies.profiles import load_profile
from typer.core import TyperGroup

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "examples" / name for name in ("quickstart", "vllm")]


class Example:
    """The objects of one example's folder."""

    def __init__(self, folder: Path) -> None:
        self.objects: list[dict[str, Any]] = []
        for path in sorted(folder.glob("*.yaml")):
            self.objects += yaml.safe_load_all(path.read_text())

    def only(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Return the one object of that kind and name."""
        (found,) = [
            each for each in self.objects if each["kind"] == kind and name in (None, each["metadata"]["name"])
        ]
        return found

    @property
    def service(self) -> LLMService:
        """The LLMService, read strictly."""
        return LLMService.from_object(self.only("LLMService"))

    @property
    def target(self) -> dict[str, Any]:
        """The Deployment that the LLMService scales."""
        reference = self.service.spec.pools[0].scale_target_ref
        return self.only(reference.kind, reference.name)

    @property
    def pod(self) -> dict[str, Any]:
        """The pod template's specification of that Deployment."""
        pod: dict[str, Any] = self.target["spec"]["template"]["spec"]
        return pod


@pytest.fixture(params=EXAMPLES, ids=lambda folder: folder.name)
def example(request: pytest.FixtureRequest) -> Example:
    """Each example in turn."""
    return Example(request.param)


def test_everything_is_in_one_namespace_made_first(example: Example) -> None:
    """The namespace comes before all else, and everything else is in it."""
    first, *others = example.objects
    assert first["kind"] == "Namespace"
    assert {each["metadata"]["namespace"] for each in others} == {first["metadata"]["name"]}


def test_the_llmservice_is_valid_and_only_recommends(example: Example) -> None:
    """The LLMService is accepted by the models, names a shipped profile, and moves nothing by itself."""
    assert example.service.spec.scaling.mode == "Recommend"
    assert load_profile(example.service.spec.pools[0].engine_profile).kv_capacity_tokens > 0


def test_pods_carry_the_services_label(example: Example) -> None:
    """Pods are labelled with the LLMService's name, and selected by it everywhere."""
    label = {"presage.dev/service": example.service.metadata.name}
    assert example.target["spec"]["template"]["metadata"]["labels"] == label
    assert example.target["spec"]["selector"]["matchLabels"] == label
    assert example.only("Service", example.service.service_name)["spec"]["selector"] == label


def test_applying_again_leaves_replicas_alone(example: Example) -> None:
    """The Deployment states no replicas, which would undo the operator's decision at each apply."""
    assert "replicas" not in example.target["spec"]


def test_the_sidecar_is_native_and_first(example: Example) -> None:
    """The sidecar restarts always, and its start-up does not wait for the engine that starts after it."""
    (sidecar,) = example.pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/livez"
    assert sidecar["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_sidecar_and_service_agree_on_ports(example: Example) -> None:
    """The Service sends to the sidecar's front, which knows the engine's address and its own Service."""
    (sidecar,) = example.pod["initContainers"]
    flags = dict(flag.split("=", 1) for flag in sidecar["args"][1:])
    ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}
    service = example.only("Service", example.service.service_name)
    assert service["spec"]["ports"][0]["targetPort"] == ports["front"]
    assert flags["--front"] == f"0.0.0.0:{ports['front']}"
    assert flags["--peer"] == f"0.0.0.0:{ports['peer']}"
    assert flags["--endpointslices"] == example.service.service_name
    assert flags["--service"] == example.service.metadata.name
    (engine,) = example.pod["containers"]
    host, port = flags["--engine"].removeprefix("http://").split(":")
    assert {f"--host={host}", f"--port={port}"} <= set(engine["args"])


def test_the_engine_waits_for_the_drain(example: Example) -> None:
    """The engine's preStop drains the sidecar, and the pod has time for the whole drain and more."""
    (sidecar,) = example.pod["initContainers"]
    (engine,) = example.pod["containers"]
    hook = engine["lifecycle"]["preStop"]["httpGet"]
    peer = next(port["containerPort"] for port in sidecar["ports"] if port["name"] == "peer")
    assert hook == {"path": "/drain", "port": peer}
    assert (
        example.pod["terminationGracePeriodSeconds"]
        >= example.service.spec.routing.timeouts.drain_seconds + 30
    )


def test_the_configuration_is_mounted_but_not_awaited(example: Example) -> None:
    """The operator's ConfigMap is mounted where the sidecar looks, and pods start without it."""
    (sidecar,) = example.pod["initContainers"]
    volume = next(volume for volume in example.pod["volumes"] if volume["name"] == "router")
    assert volume["configMap"] == {
        "name": f"presage-router-{example.service.metadata.name}",
        "optional": True,
    }
    mount = next(mount for mount in sidecar["volumeMounts"] if mount["name"] == "router")
    assert f"--config={mount['mountPath']}/router.yaml" in sidecar["args"]


def test_pods_may_read_endpoint_slices(example: Example) -> None:
    """The pods' ServiceAccount is bound to the chart's ClusterRole for sidecars."""
    binding = example.only("RoleBinding", "chat-sidecar")
    assert binding["roleRef"]["name"] == "presage-sidecar"
    assert binding["subjects"][0]["name"] == example.pod["serviceAccountName"]
    assert binding["subjects"][0]["namespace"] == example.service.metadata.namespace


def test_presage_takes_the_flags(example: Example) -> None:
    """Every argument given to a Presage container is one that the command knows, in a form it accepts."""
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    ours = [
        container
        for each in example.objects
        if each["kind"] == "Deployment"
        for container in containers(each)
        if container["image"].startswith("presage.dev/presage")
    ]
    assert ours
    for container in ours:
        with command.make_context("presage", list(container["args"])) as context:
            name, subcommand, rest = command.resolve_command(context, list(container["args"]))
            assert subcommand is not None
            subcommand.make_context(name, rest, parent=context).close()


def containers(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all containers of a Deployment's pods, sidecars first."""
    pod = deployment["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_sidecars_run_restricted(example: Example) -> None:
    """The sidecar runs as no root, writes nothing, and gains nothing."""
    (sidecar,) = example.pod["initContainers"]
    context = example.pod["securityContext"] | sidecar["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
