"""Where built images and their layers are kept between runs."""

import contextlib
import fcntl
import hashlib
import os
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
