"""The life of the real node, driven by the supervisor (see `presage_sandbox.node_hook`)."""

import asyncio
import contextlib
import shutil

import httpx

from presage_sandbox.errors import SandboxError
from presage_sandbox.images import pause
from presage_sandbox.layout import Layout
from presage_sandbox.node import cgroups, containerd, dns, kubelet, network, registration, requirements
from presage_sandbox.node.enclosure import enclose
from presage_sandbox.node_hook import ProgramRunner
from presage_sandbox.progress import on_terminal

PAUSE_ARCHIVE = "pause.tar"
CONTROLLERS = "controllers"  # which cgroup controllers the host did not pass on before


class RealNode:
    """Satisfies `presage_sandbox.node_hook.NodeHook`."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def binaries(self) -> tuple[str, ...]:
        """Name the programs that `up` finds or builds for the node."""
        return ("kubelet", "kube-proxy", "coredns")

    def check(self) -> None:
        """Raise SandboxError that names what is missing on this machine and how to install it."""
        requirements.check()
        pause.build(on_terminal())  # here, where the user sees it: the first time it takes seconds

    def prepare_host(self, layout: Layout) -> None:
        """Make the node's cgroup and write its configuration; the host is not changed otherwise."""
        layout.node.mkdir(parents=True, exist_ok=True, mode=0o700)
        (layout.node / "containerd.toml").write_text(containerd.configuration())
        network.write_cni_configuration(layout)
        network.write_kube_proxy_configuration(layout)
        dns.write_configuration(layout)
        kubelet.write_configuration(layout)
        shutil.copyfile(pause.build(on_terminal()), layout.node / PAUSE_ARCHIVE)
        cgroups.create(cgroups.name_of(layout.identity), layout.node / CONTROLLERS)

    async def start(self, layout: Layout, runner: ProgramRunner) -> None:
        """Start the node and return when it is Ready and offers its GPUs."""
        enclose(layout)
        network.route_services(layout)
        try:
            async with asyncio.TaskGroup() as together:
                together.create_task(self._start_kubelet(layout, runner))
                together.create_task(runner.run(network.kube_proxy(layout)))
                together.create_task(runner.run(dns.coredns(layout)))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # one clear reason; the others are in the logs
        runner.say("waiting for the node to be Ready")
        try:
            await registration.wait_until_ready(layout)
            await registration.offer_gpus(layout)
        except httpx.HTTPError as error:
            raise SandboxError(
                f"the API server stopped answering while the node started: {error!r}"
            ) from error
        self._tasks.append(asyncio.create_task(registration.keep_gpus(layout)))

    async def _start_kubelet(self, layout: Layout, runner: ProgramRunner) -> None:
        await runner.run(containerd.containerd())
        await containerd.import_image(layout.node / PAUSE_ARCHIVE)
        await runner.run(kubelet.kubelet(layout))

    async def stop(self, layout: Layout, runner: ProgramRunner) -> None:  # noqa: ARG002 - the protocol's
        """Stop the node's tasks. Containers end with their pid namespace, which takes no time."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    def restore_host(self, layout: Layout) -> None:
        """Remove the node's cgroup; idempotent, also after a crash. Nothing else was changed."""
        cgroups.remove(cgroups.name_of(layout.identity), layout.node / CONTROLLERS)
