"""Where built images and their layers are kept between runs."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from presage_sandbox.progress import Progress


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/presage/images, or below ~/.cache; made when missing."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "presage" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def key_of(*parts: str | bytes) -> str:
    """Short name of what `parts` determine; the same parts, the same name."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def only_builder(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the folder's lock, so that two builds at once do the work once."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("images: waiting for another build to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def forget_old(kind: str, keep: int = 3) -> None:
    """Remove all but the `keep` newest of the cached files and folders named `KIND-KEY…`.

    Each change of a lock file or a program makes a new one of hundreds of megabytes.
    """
    by_key: dict[str, list[Path]] = {}
    for path in cache_folder().glob(f"{kind}-*"):
        by_key.setdefault(path.name.partition(".")[0], []).append(path)
    newest_first = sorted(by_key.values(), key=lambda paths: -max(path.stat().st_mtime for path in paths))
    for path in (path for paths in newest_first[keep:] for path in paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
