"""Where the demo plays: a sandbox of its own with a real node, or any cluster one already has.

Both give a cluster with Presage installed by Helm. What a stage brought, it takes away again.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from presage_sandbox import lifecycle
from presage_sandbox.binaries import find_binaries
from presage_sandbox.images import project, prometheus
from presage_sandbox.layout import Options, default_state
from presage_sandbox.node.inside import load_image
from presage_sandbox.progress import Progress

from presage_cli.demo.cluster import Cluster, DemoError

RELEASE, RELEASE_NAMESPACE = "presage", "presage-system"
HELM_SECONDS = 120
# The demo brings a Prometheus of its own; the sandbox's has nothing to do here.
IDLE_SCRAPE_SECONDS = 300


class Stage(Protocol):
    """A place to play."""

    image: str
    prometheus_image: str

    def open(self, progress: Progress) -> Cluster:
        """Make the cluster ready for `install`."""

    def install(self, chart: Path, progress: Progress) -> None:
        """Install Presage by its chart."""

    def close(self, progress: Progress) -> None:
        """Take away what this stage brought."""


class SandboxStage:
    """A sandbox with a real node, in a state folder of the demo's own."""

    def __init__(self, state: Path | None = None, binaries: Path | None = None) -> None:
        self.image = project.NAME
        self.prometheus_image = prometheus.NAME
        self.state = state or default_state().parent / "demo"
        self._binaries = binaries

    def open(self, progress: Progress) -> Cluster:
        """Build the images (cached), start the sandbox, load the images into its node."""
        programs = find_binaries(prometheus.PROGRAMS, self._binaries, progress)
        archives = [project.build(progress), prometheus.build(programs)]
        options = Options(node=True, gpus=0, scrape_interval_seconds=IDLE_SCRAPE_SECONDS)
        layout = lifecycle.up(self.state, options, self._binaries, progress)
        for archive in archives:
            with progress.step(f"loading {archive.name} into the node"):
                load_image(self.state, archive)
        self._helm, self._kubeconfig = str(layout.binary("helm")), layout.kubeconfig
        return Cluster.connect(layout.kubeconfig, None, direct=True)

    def install(self, chart: Path, progress: Progress) -> None:
        """Install the chart with the sandbox's own Helm."""
        direct = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        with progress.step("installing the chart"):
            install_chart(self._helm, chart, self.image, direct | {"KUBECONFIG": str(self._kubeconfig)})

    def close(self, progress: Progress) -> None:
        """Take the whole sandbox down."""
        lifecycle.down(self.state, progress)


class ContextStage:
    """A cluster of the user's, by kubeconfig context; it must be able to pull the images."""

    def __init__(self, context: str, image: str, prometheus_image: str) -> None:
        self.image = image
        self.prometheus_image = prometheus_image
        self._context = context
        self._installed = False

    def open(self, progress: Progress) -> Cluster:
        """Connect to the cluster. DemoError when Helm or the context is missing."""
        self._helm = shutil.which("helm")
        if self._helm is None:
            raise DemoError(
                "helm is not on PATH: install it, or run the demo without a context, on a sandbox"
            )
        with progress.step(f"connecting to {self._context}"):
            return Cluster.connect(None, self._context)

    def install(self, chart: Path, progress: Progress) -> None:
        """Install the chart, unless a release of this name is there: that one is used as it is."""
        assert self._helm is not None  # found when the stage was opened
        place = ["--kube-context", self._context]
        found = subprocess.run(  # noqa: S603 - our own arguments, no shell
            [self._helm, "status", RELEASE, "--namespace", RELEASE_NAMESPACE, *place],
            capture_output=True,
            check=False,
        )
        if found.returncode == 0:
            progress.say(f"release {RELEASE} is installed already; it is used as it is")
            return
        with progress.step("installing the chart"):
            self._installed = True
            install_chart(self._helm, chart, self.image, os.environ, *place)

    def close(self, progress: Progress) -> None:
        """Uninstall the release if this stage installed it; the API stays, as the chart keeps it."""
        if not self._installed:
            return
        assert self._helm is not None  # it installed the release
        with progress.step("uninstalling the chart"):
            subprocess.run(  # noqa: S603 - our own arguments, no shell
                [
                    *(self._helm, "uninstall", RELEASE, "--namespace", RELEASE_NAMESPACE),
                    *("--kube-context", self._context),
                ],
                capture_output=True,
                check=False,
            )


def install_chart(helm: str, chart: Path, image: str, environment: Mapping[str, str], *place: str) -> None:
    """Run `helm upgrade --install` and wait until the operator is ready. DemoError with Helm's words."""
    repository, _, tag = image.rpartition(":")
    done = subprocess.run(  # noqa: S603 - our own arguments, no shell
        [
            *(helm, "upgrade", "--install", RELEASE, str(chart)),
            *("--namespace", RELEASE_NAMESPACE, "--create-namespace"),
            *("--set", f"image.repository={repository}", "--set-string", f"image.tag={tag}"),
            *("--wait", "--timeout", f"{HELM_SECONDS}s", *place),
        ],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"helm could not install {chart}: {done.stderr.strip()}")
