"""Where a running program has its weights from: the package, or a file that may be swapped while it runs."""

from pathlib import Path

from presage_predictors.mlstm.artefact import Artefact, ArtefactError, load, shipped
from presage_predictors.mlstm.network import Network


class Source:
    """Gives the newest usable network: `path`'s, reread when the file changes, else the package's.

    A file that is damaged or gone leaves the last good network in place.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self.trouble: str | None = None
        self._take(shipped())
        self.refresh()

    def refresh(self) -> Network:
        """Look whether the file has changed, and return the network that serves from now on."""
        seen = self._stamp()
        if self._path is not None and seen is not None and seen != self._seen:
            self._seen = seen
            try:
                self._take(load(self._path))
            except ArtefactError as error:
                self.trouble = str(error)
        return self.network

    def _take(self, artefact: Artefact) -> None:
        self.network = artefact.network()
        self.version = artefact.version
        self.trouble = None

    def _stamp(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
