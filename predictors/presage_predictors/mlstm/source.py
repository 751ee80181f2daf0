"""Where a running program has its weights from: the package, or a file that may be swapped while it runs."""

from pathlib import Path

from presage_predictors.mlstm.artefact import Artefact, load, shipped
from presage_predictors.mlstm.network import Network
from presage_predictors.tensors import ArtefactError


class Source:
    """Gives the newest usable network: `path`'s, reread when the file changes, else the package's.

    A file that is damaged or gone leaves the last good network in place; `trouble` says so until it is
    mended. `version` names the weights that serve; `written` is when their file was (Unix seconds), None
    for the package's.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self.trouble: str | None = None
        self._take(shipped(), None)
        self.refresh()

    def refresh(self) -> Network:
        """Look whether the file has changed, and return the network that serves from now on."""
        if self._path is None:
            return self.network
        try:
            found = self._path.stat()
            seen = found.st_mtime_ns, found.st_size
            if seen != self._seen:
                self._seen = seen
                self._take(load(self._path), found.st_mtime)
        except (OSError, ArtefactError) as error:
            self._keep(self._path, error)
        return self.network

    def _take(self, artefact: Artefact, written: float | None) -> None:
        self.network = artefact.network()
        self.version = artefact.version
        self.written = written
        self.trouble = None

    def _keep(self, path: Path, error: OSError | ArtefactError) -> None:
        """Say what is wrong with the file, and stay with the weights that serve."""
        if isinstance(error, OSError):
            self._seen = None  # whatever comes back is looked at
        problem = f"{path} cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        self.trouble = f"{problem}; weights {self.version} serve meanwhile"
