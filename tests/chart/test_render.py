"""What the chart renders, parsed: the operator's pod, permissions, the CRD, and refused values."""

from typing import Any

import pytest
import yaml
from presage_crds.crd import custom_resource_definition

from tests.chart.conftest import CHART, Helm, HelmError, Render, only

pytestmark = pytest.mark.cluster


def test_lint_finds_nothing(helm: Helm) -> None:
    """`helm lint --strict` has no complaint."""
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_by_default_there_is_this_and_no_more(render: Render) -> None:
    """The default values render exactly the objects that the README names."""
    assert sorted((each["kind"], each["metadata"]["name"]) for each in render()) == [
        ("ClusterRole", "presage-edit"),
        ("ClusterRole", "presage-operator"),
        ("ClusterRole", "presage-sidecar"),
        ("ClusterRole", "presage-view"),
        ("ClusterRoleBinding", "presage-operator"),
        ("ConfigMap", "presage-dashboards"),
        ("CustomResourceDefinition", "llmservices.presage.dev"),
        ("Deployment", "presage-operator"),
        ("Role", "presage-operator"),
        ("RoleBinding", "presage-operator"),
        ("Service", "presage-operator-metrics"),
        ("ServiceAccount", "presage-operator"),
    ]


def test_the_operator_runs_restricted(render: Render) -> None:
    """The operator's pod meets the restricted Pod Security Standard and writes only to its /tmp."""
    pod = only(render(), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]


def test_ports_agree(render: Render) -> None:
    """One value moves the flag, the container's port, the Service's and the scrape annotation."""
    objects = render("metrics.port=9191")
    template = only(objects, "Deployment")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert "--port=9191" in container["args"]
    assert container["ports"] == [{"name": "metrics", "containerPort": 9191}]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == "9191"
    assert only(objects, "Service")["spec"]["ports"][0]["port"] == 9191
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "metrics"


def test_selectors_select(render: Render) -> None:
    """Deployment and Service select the pods that the template labels, whatever labels are added."""
    objects = render("operator.podLabels.team=search")
    deployment = only(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "search"
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert only(objects, "Service")["spec"]["selector"].items() <= labels.items()


def test_the_image_is_named_whole(render: Render) -> None:
    """The tag defaults to the chart's appVersion and can be set."""
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]

    def image(*values: str) -> str:
        pod = only(render(*values), "Deployment")["spec"]["template"]["spec"]
        return str(pod["containers"][0]["image"])

    assert image() == f"presage.dev/presage:{version}"
    assert image("image.repository=r/p", "image.tag=dev") == "r/p:dev"


def test_the_definition_is_the_models(render: Render) -> None:
    """The rendered CRD is the one that the models give, kept on uninstall unless asked otherwise."""
    kept = only(render(), "CustomResourceDefinition")
    assert kept["spec"] == custom_resource_definition()["spec"]
    assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in only(render("crds.keep=false"), "CustomResourceDefinition")["metadata"]
    assert "CustomResourceDefinition" not in {each["kind"] for each in render("crds.install=false")}


def test_permissions_are_these_and_no_more(render: Render) -> None:
    """The operator's cluster-wide rules are exactly the documented ones; it reads no Secret."""
    rules = only(render(), "ClusterRole", "presage-operator")["rules"]
    granted = {(resource, *rule["verbs"]) for rule in rules for resource in rule["resources"]}
    assert granted == {
        ("llmservices", "get", "list", "watch"),
        ("llmservices/status", "patch"),
        ("deployments/scale", "get", "patch"),
        ("statefulsets/scale", "get", "patch"),
        ("pods", "list"),
        ("endpointslices", "list"),
        ("configmaps", "create", "patch"),
        ("events", "create"),
    }


def test_other_kinds_can_be_scaled(render: Render) -> None:
    """A kind named in rbac.scaleTargets gets its /scale, and nothing else, added."""
    rules = only(
        render(
            "rbac.scaleTargets[0].apiGroup=leaderworkerset.x-k8s.io",
            "rbac.scaleTargets[0].resource=leaderworkersets",
        ),
        "ClusterRole",
        "presage-operator",
    )["rules"]
    assert {
        "apiGroups": ["leaderworkerset.x-k8s.io"],
        "resources": ["leaderworkersets/scale"],
        "verbs": ["get", "patch"],
    } in rules


def test_chosen_namespaces_bound_its_rights(render: Render) -> None:
    """With operator.namespaces its rules are bound there alone, and it is told to watch only there."""
    objects = render("operator.namespaces={a,b}")
    assert "ClusterRoleBinding" not in {each["kind"] for each in objects}
    bound = [
        each["metadata"]["namespace"]
        for each in objects
        if each["kind"] == "RoleBinding" and each["roleRef"]["kind"] == "ClusterRole"
    ]
    assert bound == ["a", "b"]
    arguments = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--namespace=a", "--namespace=b"} <= set(arguments)


def test_everything_of_the_operator_is_its_own(render: Render) -> None:
    """Bindings, Deployment and ServiceAccount name the same account, also one that exists already."""
    for values, name in (
        ((), "presage-operator"),
        (("serviceAccount.create=false", "serviceAccount.name=own"), "own"),
    ):
        objects = render(*values)
        subjects = [subject for each in objects for subject in each.get("subjects", [])]
        assert {(subject["name"], subject["namespace"]) for subject in subjects} == {(name, "presage-system")}
        assert only(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == name
        assert ("ServiceAccount" in {each["kind"] for each in objects}) == (not values)


REFUSED: list[tuple[str, str]] = [
    ("operator.replica=2", "/operator"),
    ("operator.replicas=many", "/operator/replicas"),
    ("operator.logLevel=loud", "/operator/logLevel"),
    ("operator.namespaces={Upper}", "/operator/namespaces/0"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("image.repository=", "/image/repository"),
    ("metrics.port=80", "/metrics/port"),
    ("crds.keep=maybe", "/crds/keep"),
    ("serviceAccount.create=false", "/serviceAccount"),
    ("rbac.scaleTargets[0].resource=x", "/rbac/scaleTargets/0"),
    ("novelty=1", "novelty"),
]


@pytest.mark.parametrize(("value", "place"), REFUSED)
def test_bad_values_are_refused(value: str, place: str, render: Render) -> None:
    """A misspelt key, a wrong type or a value out of bounds is refused, and the message names the place."""
    with pytest.raises(HelmError) as refused:
        render(value)
    assert place in str(refused.value)


def test_notes_tell_what_comes_next(helm: Helm) -> None:
    """NOTES name the next commands, and warn where uninstalling would delete every LLMService."""

    def notes(*flags: str) -> Any:
        return helm(
            "install", "presage", str(CHART), "--namespace", "presage-system", "--dry-run=client", *flags
        )

    assert "kubectl get llmsvc" in notes()
    assert "EVERY LLMService" not in notes()
    assert "EVERY LLMService" in notes("--set", "crds.keep=false")
