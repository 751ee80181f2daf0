"""A running sandbox as tests and the demo use it: paths, addresses, kubectl, and faults."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Self

from presage_sandbox import lifecycle, processes
from presage_sandbox.errors import SandboxError
from presage_sandbox.layout import Layout

KUBECTL_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Handle of the sandbox with this layout; holds no connection and no process."""

    layout: Layout

    @classmethod
    def of(cls, state: Path) -> Self:
        """Take the running sandbox in a state folder; SandboxError when it is not healthy."""
        found = lifecycle.status(state)
        if not found.healthy:
            ill = [each["name"] for each in found.programs if not each["healthy"]]
            raise SandboxError(f"the sandbox in {state} is not healthy: {', '.join(ill) or 'still starting'}")
        return cls(Layout.read(state.absolute()))

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig, through the published port."""
        return self.layout.kubeconfig

    @property
    def kubectl(self) -> Path:
        """The kubectl that fits the API server."""
        return self.layout.binary("kubectl")

    @property
    def helm(self) -> Path:
        """Helm."""
        return self.layout.binary("helm")

    @property
    def apiserver_url(self) -> str:
        """https://127.0.0.1:PORT of the API server."""
        return self.layout.published_apiserver_url

    @property
    def prometheus_url(self) -> str:
        """http://127.0.0.1:PORT of Prometheus."""
        return self.layout.prometheus_url

    @property
    def targets_dir(self) -> Path:
        """Folder where a `*.json` file (file_sd) adds scrape targets within seconds."""
        return self.layout.targets

    @property
    def namespaces_pid(self) -> int | None:
        """Host pid of the first process in the node's namespaces, for `nsenter -t`; None without a node."""
        return processes.host_pids(self.layout.identity).get(1)

    def start(self, program: str) -> None:
        """Start a stopped program and wait until it is healthy; SandboxError when it is not in time."""
        lifecycle.change(self.layout.state, "start", program)

    def stop(self, program: str) -> None:
        """Stop a program (`kube-apiserver`, `prometheus`, …) and return when it has ended."""
        lifecycle.change(self.layout.state, "stop", program)

    def restart(self, program: str) -> None:
        """Stop and start a program; returns when it is healthy."""
        lifecycle.change(self.layout.state, "restart", program)

    def kube(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as administrator and return its output; SandboxError with its words when it fails."""
        done = subprocess.run(  # noqa: S603 - kubectl of the sandbox
            [self.kubectl, f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=KUBECTL_SECONDS,
        )
        if done.returncode != 0:
            raise SandboxError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout
