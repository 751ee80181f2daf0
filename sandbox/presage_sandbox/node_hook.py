"""What the supervisor asks of the real node (`presage_sandbox.node`), and what it offers to it.

`presage_sandbox.node` has a function `node() -> NodeHook`. The order of one life:

1. `up` on the host: `check` (is everything installed? names what is missing and the fix).
2. the daemon on the host, before the namespaces: `prepare_host` (save sysctls, make cgroups).
3. inside new network, mount and pid namespaces, when API server, controllers, scheduler and
   Prometheus are healthy: `start`, which runs containerd, kubelet, … through `ProgramRunner.run`, so
   that `status`, `stop`, `start`, `restart` and the final stop know them.
4. `stop`, inside, before anything else is stopped: pods, then the node's own tasks. Programs that
   were run in `start` are stopped afterwards by the supervisor, last started first.
5. on the host, when all inside is gone: `restore_host`. After a crash `down` calls it, possibly
   again, so it must be idempotent and read all it needs from the state folder.
"""

import importlib
from typing import Protocol

from presage_sandbox.layout import Layout
from presage_sandbox.program import Program


class ProgramRunner(Protocol):
    """The supervisor as the node sees it."""

    def say(self, doing: str) -> None:
        """Tell the user, who waits before `up`, what is being done now."""

    async def run(self, program: Program) -> None:
        """Start a program and wait until it is healthy; SandboxError when it is not in time."""

    async def stop(self, name: str) -> None:
        """Stop one program; nothing when it does not run."""


class NodeHook(Protocol):
    """A real node: see the module's text for when each is called."""

    def binaries(self) -> tuple[str, ...]:
        """Programs that `up` finds or builds for the node (`kubelet`, `kube-proxy`, `coredns`, …)."""

    def check(self) -> None:
        """Raise SandboxError that names what is missing on this machine and how to install it."""

    def prepare_host(self, layout: Layout) -> None:
        """Save what of the host will change; runs as root in the host's namespaces."""

    async def start(self, layout: Layout, runner: ProgramRunner) -> None:
        """Start the node and return when it is Ready."""

    async def stop(self, layout: Layout, runner: ProgramRunner) -> None:
        """Stop pods and background tasks; also called when `start` failed half-way."""

    def restore_host(self, layout: Layout) -> None:
        """Put the host back as `prepare_host` found it; idempotent, also after a crash."""


def load_node() -> NodeHook:
    """Load the real node, by name: without --node its code is never loaded."""
    hook: NodeHook = importlib.import_module("presage_sandbox.node").node()
    return hook
