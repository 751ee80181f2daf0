"""containerd: its configuration, how it is started, and how images get into it."""

import asyncio
import json
from pathlib import Path

from presage_sandbox.errors import SandboxError
from presage_sandbox.images import pause
from presage_sandbox.node.paths import CNI_CONFIG, CONTAINERD_ROOT, CONTAINERD_SOCKET, HOME
from presage_sandbox.node.requirements import cni_folder, program
from presage_sandbox.program import Program

NAMESPACE = "k8s.io"  # where the kubelet's side of containerd keeps its images
# Snapshotters of file systems that are not there, and `opt`, which would make /opt/containerd on the host.
UNUSED_PLUGINS = (
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
)


def configuration() -> str:
    """Build containerd's TOML, configuration version 2 (read by containerd 1.6 to 2.x)."""
    return f"""\
version = 2
root = {_quoted(CONTAINERD_ROOT)}
state = "/run/containerd"
disabled_plugins = {json.dumps(UNUSED_PLUGINS)}

[grpc]
  address = {_quoted(CONTAINERD_SOCKET)}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {_quoted(pause.NAME)}
  restrict_oom_score_adj = true  # for machines without CAP_SYS_RESOURCE
  disable_apparmor = true  # a profile would be loaded into the host's kernel

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {_quoted(cni_folder())}
    conf_dir = {_quoted(CNI_CONFIG)}

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = {_quoted(program("runc"))}
        SystemdCgroup = false
"""


def containerd() -> Program:
    """Start containerd; healthy once its API answers."""
    return Program(
        "containerd",
        (program("containerd"), f"--config={HOME / 'containerd.toml'}", "--log-level=warn"),
        address=str(CONTAINERD_SOCKET),
        healthy=_answers,
    )


async def _answers() -> bool:
    if not CONTAINERD_SOCKET.exists():
        return False
    process = await asyncio.create_subprocess_exec(
        *ctr("version"), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


def ctr(*arguments: str) -> tuple[str, ...]:
    """Build a command line of containerd's client, good inside the node's mount namespace."""
    return (program("ctr"), f"--address={CONTAINERD_SOCKET}", f"--namespace={NAMESPACE}", *arguments)


async def import_image(archive: Path) -> None:
    """Import an image's archive, from inside; SandboxError with containerd's words."""
    with archive.open("rb") as file:
        process = await asyncio.create_subprocess_exec(
            *ctr("images", "import", "-"),
            stdin=file,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
    if process.returncode != 0:
        raise SandboxError(
            f"containerd could not import {archive}: {errors.decode(errors='replace').strip()}"
        )


def _quoted(value: object) -> str:
    return json.dumps(str(value))
