"""Notices that a file changed, also one that Kubernetes swaps by a symbolic link (ConfigMaps)."""

from pathlib import Path
from typing import ClassVar


class FileWatch:
    """Compares a file's identity and content stamp with the last look."""

    INTERVAL_SECONDS: ClassVar[float] = 0.5

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None

    def changed(self) -> bool:
        """Tell whether the file differs from the last look; a missing file is no change."""
        try:
            status = self._path.stat()
        except OSError:
            return False
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        return True
