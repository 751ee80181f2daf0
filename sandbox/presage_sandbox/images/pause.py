"""The image of the program that holds each pod's namespaces open, built from our own source."""

import hashlib
import os
from pathlib import Path

from presage_sandbox.binaries import FOLDER_VARIABLE
from presage_sandbox.build import build as build_program
from presage_sandbox.catalogue import Source
from presage_sandbox.images.oci import Runs
from presage_sandbox.images.static import static_image
from presage_sandbox.progress import Progress

NAME = "presage.dev/pause:dev"
PROGRAM = "pause"


class OwnSource(Source):
    """A program whose source lies beside its go.mod, and so belongs to its cache key."""

    @property
    def build_key(self) -> str:
        """Same key, same program: a hash of the source too."""
        digest = hashlib.sha256(super().build_key.encode())
        for file in sorted(self.folder.glob("*.go")):
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]


SOURCE = OwnSource(PROGRAM, "pause", ".", versioned_by="")


def program(progress: Progress) -> Path:
    """Take `pause` from $PRESAGE_BINARIES, or build it with Go (once); SandboxError when that fails."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and (Path(folder) / PROGRAM).exists():
        return Path(folder) / PROGRAM
    return build_program(SOURCE, progress)


def build(progress: Progress) -> Path:
    """Build `presage.dev/pause:dev` and return its archive."""
    runs = Runs(entrypoint=("/pause",), user="65535:65535")
    return static_image(NAME, {"pause": program(progress)}, (), runs)
