"""Helm as the chart's tests run it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from presage_sandbox.cluster import Cluster

CHART = Path(__file__).parents[2] / "charts" / "presage"

Helm = Callable[..., str]
Render = Callable[..., list[dict[str, Any]]]


class HelmError(Exception):
    """Helm refused; the message is what it said."""


@pytest.fixture(scope="session")
def helm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Run Helm against the sandbox and return its output; HelmError when it refuses."""
    home = tmp_path_factory.mktemp("helm")
    folders = {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}
    environment = {**os.environ, **folders, "KUBECONFIG": str(cluster.kubeconfig)}

    def run(*arguments: str) -> str:
        command = [str(cluster.helm), *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise HelmError(done.stderr + done.stdout)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    """Render the chart with `--set` values and return its objects."""

    def objects(*values: str) -> list[dict[str, Any]]:
        flags = [part for value in values for part in ("--set", value)]
        text = helm(
            "template",
            "presage",
            str(CHART),
            "--namespace",
            "presage-system",
            "--kube-version",
            "1.36.0",
            *flags,
        )
        return [document for document in yaml.safe_load_all(text) if document]

    return objects


def only(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """Return the one object of that kind and name."""
    (found,) = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found
