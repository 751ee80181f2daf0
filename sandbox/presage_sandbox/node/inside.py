"""Reaches into a running node from the host: runs commands inside, loads images."""

import subprocess
from pathlib import Path

from presage_sandbox import lifecycle
from presage_sandbox.errors import SandboxError
from presage_sandbox.node.containerd import ctr
from presage_sandbox.node.requirements import program


def command_inside(state: Path, *command: str, mounts: bool = False) -> tuple[str, ...]:
    """Build a command line that runs `command` in the node's network, with `mounts` also its mounts.

    SandboxError when the sandbox in `state` does not run or has no node.
    """
    pid = next(
        (each["pid"] for each in lifecycle.status(state).programs if each["name"] == "containerd"), None
    )
    if pid is None:
        raise SandboxError(
            f"the sandbox in {state} has no running node: start one with `presage sandbox up --node`"
        )
    spaces = ("--net", "--mount") if mounts else ("--net",)
    return (program("nsenter"), f"--target={pid}", *spaces, "--", *command)


def load_image(state: Path, archive: Path) -> None:
    """Import an image's archive (OCI or Docker) into the node; SandboxError with containerd's words.

    Pods use it with `imagePullPolicy: IfNotPresent` or `Never`.
    """
    try:
        file = archive.open("rb")
    except OSError as error:
        raise SandboxError(f"cannot read the image {archive}: {error.strerror}") from error
    with file:
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            command_inside(state, *ctr("images", "import", "-"), mounts=True),
            stdin=file,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SandboxError(
            f"containerd could not import {archive} (wanted: an OCI or Docker archive, uncompressed tar): "
            f"{done.stderr.strip()}"
        )
