"""Finds the sandbox's programs: in a folder, on PATH, or built with Go and kept.

What somebody else built is taken only when its version fits, because the parts of Kubernetes must
be of one minor version; what was taken from where is always told.
"""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from presage_sandbox.build import build, cached
from presage_sandbox.catalogue import CATALOGUE, Source, parse_version
from presage_sandbox.errors import SandboxError
from presage_sandbox.progress import Progress

FOLDER_VARIABLE = "PRESAGE_BINARIES"
ASK_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Found:
    """A program and where it was taken from (`folder`, `PATH`, `cache`, `built`)."""

    name: str
    path: Path
    origin: str


def find_binaries(names: Iterable[str], folder: Path | None, progress: Progress) -> dict[str, Path]:
    """Find every named program, building those that are nowhere; name to path.

    `folder` (or $PRESAGE_BINARIES) comes first, then PATH, then the cache of what was built.
    SandboxError when a program in the folder has the wrong version or a build fails.
    """
    folder = folder or _folder_from_environment()
    found = [_find(CATALOGUE[name], folder, progress) for name in names]
    foreign = [f"{each.name} from {each.path}" for each in found if each.origin in ("folder", "PATH")]
    if foreign:
        progress.say("taken as they are: " + ", ".join(foreign))
    return {each.name: each.path for each in found}


def not_at_hand(names: Iterable[str], folder: Path | None = None) -> list[str]:
    """Which of the named programs would have to be built first."""
    folder = folder or _folder_from_environment()
    return [name for name in names if not _at_hand(CATALOGUE[name], folder)]


def _at_hand(source: Source, folder: Path | None) -> bool:
    if folder is not None and (folder / source.name).exists():
        return True
    on_path = shutil.which(source.name)
    return cached(source).exists() or (on_path is not None and _fits(source, Path(on_path)))


def _folder_from_environment() -> Path | None:
    value = os.environ.get(FOLDER_VARIABLE)
    return Path(value) if value else None


def _find(source: Source, folder: Path | None, progress: Progress) -> Found:
    if folder is not None:
        if not folder.is_dir():
            raise SandboxError(f"{folder} ({FOLDER_VARIABLE} or --binaries) is not a folder")
        if (folder / source.name).exists():
            return Found(source.name, _checked(source, folder / source.name), "folder")
    on_path = shutil.which(source.name)
    if on_path is not None and _fits(source, Path(on_path)):
        return Found(source.name, Path(on_path).resolve(), "PATH")
    origin = "cache" if cached(source).exists() else "built"
    return Found(source.name, build(source, progress), origin)


def _checked(source: Source, path: Path) -> Path:
    """Take a program that the user named; SandboxError when it is not what the sandbox can run."""
    version = _version(source, path)
    if version is None or not source.accepts(version):
        told = ".".join(map(str, version)) if version else "unknown"
        wanted = ".".join(map(str, source.version[:2]))
        rule = f"exactly {wanted}" if source.exact_minor else f"{wanted} or newer"
        raise SandboxError(
            f"{path} has version {told}, the sandbox needs {rule}: put a fitting one there, "
            "or take the file away to have it built"
        )
    return path.resolve()


def _fits(source: Source, path: Path) -> bool:
    version = _version(source, path)
    return version is not None and source.accepts(version)


def _version(source: Source, path: Path) -> tuple[int, int, int] | None:
    """Ask a program for its version; None when it does not tell."""
    try:
        answer = subprocess.run(  # noqa: S603 - the program that the user has
            [path, *source.version_command], capture_output=True, text=True, check=False, timeout=ASK_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(answer.stdout + answer.stderr)
