"""The rights that the chart grants are all that the operator needs."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from operator_world import Service, operator_process
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
CHART = Path(__file__).parents[2] / "charts" / "presage"


def granted(chat: Service, folder: Path) -> Path:
    """Install the chart's service account and rights for the namespace of `chat`; return its kubeconfig."""
    shown = [f"--show-only=templates/{name}.yaml" for name in ("serviceaccount", "rbac-operator")]
    rendered = subprocess.run(
        [
            chat.cluster.helm,
            "template",
            chat.namespace,
            CHART,
            f"--namespace={chat.namespace}",
            "--kube-version=1.36.3",
            f"--set=operator.namespaces={{{chat.namespace}}}",
            *shown,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    chat.cluster.kube("apply", "-f", "-", stdin=rendered)
    account = next(o for o in yaml.safe_load_all(rendered) if o and o["kind"] == "ServiceAccount")
    name = account["metadata"]["name"]
    token = chat.cluster.kube("create", "token", name, "-n", chat.namespace).strip()
    config = yaml.safe_load(chat.cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def test_the_charts_rights_suffice(chat: Service, tmp_path: Path) -> None:
    """With nothing but the chart's role the operator leads, reads, scales, configures, reports and tells."""
    kubeconfig, log = granted(chat, tmp_path), tmp_path / "log"
    chat.create(1)
    with operator_process(chat.cluster, chat.namespace, log, kubeconfig=kubeconfig):

        def scaled() -> bool:
            chat.play_node(12_000.0, 2_400.0)
            return chat.replicas() > 1

        until(scaled, 40)
        until(lambda: chat.condition("Ready").get("status") == "True", 20)
        until(lambda: any(what == "ScaledUp" for what, _ in chat.events()), 10)
        assert "presage-router-chat" in chat.cluster.kube("get", "cm", "-n", chat.namespace)
    assert "forbidden" not in log.read_text().lower()


def test_missing_rights_are_told_where_a_user_looks(chat: Service, tmp_path: Path) -> None:
    """Without the right to read /scale or to list pods, the status says so and nothing is scaled."""
    kubeconfig = granted(chat, tmp_path)
    role = next(
        name
        for name in chat.cluster.kube("get", "clusterroles", "-o", "name").split()
        if chat.namespace in name
    )
    rules = json.loads(chat.cluster.kube("get", role, "-o", "json"))["rules"]
    _grant(chat, role, [rule for rule in rules if "deployments/scale" not in rule["resources"]])
    chat.create(2)
    with operator_process(chat.cluster, chat.namespace, tmp_path / "log", kubeconfig=kubeconfig):
        until(lambda: chat.condition("TargetResolved").get("reason") == "TargetForbidden", 30)
        _grant(chat, role, [rule for rule in rules if "pods" not in rule["resources"]])
        until(lambda: chat.condition("Ready").get("reason") == "ApiServerRefused", 30)
        assert "pods" in chat.condition("Ready")["message"]
        _grant(chat, role, rules)
        until(lambda: chat.condition("TargetResolved").get("reason") == "TargetFound", 30)
    assert chat.replicas() == 2


def _grant(chat: Service, role: str, rules: list[dict[str, object]]) -> None:
    chat.cluster.kube("patch", role, "--type=merge", "-p", json.dumps({"rules": rules}))
