"""A running sandbox with a real node, as tests and the demo use it."""

import subprocess
from pathlib import Path

from presage_sandbox.cluster import Cluster
from presage_sandbox.node.inside import command_inside, load_image

COMMAND_SECONDS = 60.0


class NodeCluster(Cluster):
    """Handle of a sandbox whose pods run for real; holds no connection and no process."""

    def nsenter(self, *command: str) -> str:
        """Run a command of this machine in the node's network and return its output.

        There pods and Services answer at their addresses. CalledProcessError when it fails,
        TimeoutExpired after 60 s.
        """
        argv = command_inside(self.layout.state, *command)
        done = subprocess.run(  # noqa: S603 - the caller's own command, no shell
            argv, capture_output=True, text=True, check=True, timeout=COMMAND_SECONDS
        )
        return done.stdout

    def load(self, archive: Path) -> None:
        """Import an image's archive into the node; SandboxError with containerd's words."""
        load_image(self.layout.state, archive)
