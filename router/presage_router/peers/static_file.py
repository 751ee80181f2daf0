"""Peers from a file, read again when it changes: for processes without a cluster."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import structlog
import yaml

from presage_router.addresses import check_address
from presage_router.config import ConfigError
from presage_router.file_watch import FileWatch
from presage_router.peers.table import Peer, PeerTable

_log = structlog.get_logger("presage.router")


def read_peers(path: Path) -> list[Peer]:
    """Read `[{front: host:port, peer: host:port}]`. Raises ConfigError naming entry, field and fix."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, list):
        raise ConfigError(f"{path} holds {type(document).__name__}: give a list of {{front, peer}} entries")
    return [_peer(entry, f"{path}[{index}]") for index, entry in enumerate(document)]


def _peer(entry: Any, where: str) -> Peer:
    if not isinstance(entry, dict) or set(entry) != {"front", "peer"}:
        raise ConfigError(
            f"{where} is {json.dumps(entry, default=str)}: give exactly the keys front and peer"
        )
    return Peer(
        front=check_address(entry["front"], f"{where}.front"),
        peer=check_address(entry["peer"], f"{where}.peer"),
    )


class StaticPeers:
    """Keeps a peer table equal to a file; a bad file keeps the last good list and says so."""

    def __init__(self, path: Path, table: PeerTable) -> None:
        self._watch = FileWatch(path)
        self._path = path
        self._table = table

    def load(self) -> None:
        """Read the file now. Raises ConfigError."""
        self._watch.changed()
        self._table.update(read_peers(self._path), time.monotonic())

    async def run(self) -> None:
        """Follow the file until cancelled."""
        while True:
            await asyncio.sleep(FileWatch.INTERVAL_SECONDS)
            if not self._watch.changed():
                with contextlib.suppress(OSError):
                    self._path.stat()
                    self._table.confirm(time.monotonic())
                continue
            try:
                self.load()
            except ConfigError as error:
                _log.error("peers file refused; the last good one stays", error=str(error))
            else:
                _log.info("peers file read", peers=len(self._table.others))
