"""Peers from the EndpointSlices of a Service: the API server's own word on who is ready.

Spoken by plain aiohttp: the official client takes about a second to import, which every pod would pay
at start (docs/adr). The list is kept while the API server is away; its age is exported.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from presage_router.addresses import join_address
from presage_router.config import ConfigError
from presage_router.peers.table import Peer, PeerTable

_log = structlog.get_logger("presage.router")
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SERVICE_LABEL = "kubernetes.io/service-name"
_PEER_PORT_NAMES = ("peer", "presage-peer")
_WATCH_SECONDS = 240
_SILENCE_SECONDS = 300  # bookmarks come every minute: a longer silence is a dead connection
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_GONE = 410
_LONGEST_LINE = 8 * 1024 * 1024


class _ResyncError(Exception):
    """The watch cannot go on from where it was: list again."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server is and how to be trusted by it; the token is read anew for every request."""

    url: str
    token_file: Path | None
    ca_file: Path | None

    @classmethod
    def in_cluster(cls, environment: Mapping[str, str], account: Path = _SERVICE_ACCOUNT) -> "ApiServer":
        """Return the pod's own API server. Raises ConfigError outside of a pod."""
        host, port = (
            environment.get("KUBERNETES_SERVICE_HOST"),
            environment.get("KUBERNETES_SERVICE_PORT", "443"),
        )
        if not host:
            raise ConfigError(
                "KUBERNETES_SERVICE_HOST is not set: --endpointslices works in a pod only; use --peers-file"
            )
        return cls(f"https://{join_address(host, int(port))}", account / "token", account / "ca.crt")

    def headers(self) -> dict[str, str]:
        """Return the request headers, with the token as it is now: Kubernetes rotates it."""
        if self.token_file is None:
            return {}
        return {"Authorization": f"Bearer {self.token_file.read_text(encoding='utf-8').strip()}"}

    def tls(self) -> ssl.SSLContext | bool:
        """Return the TLS context that trusts the cluster's CA."""
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True


class EndpointSlicePeers:
    """Keeps a peer table equal to the ready endpoints of one Service, by list and watch."""

    def __init__(
        self, api: ApiServer, namespace: str, service: str, peer_port: int, table: PeerTable
    ) -> None:
        self._api = api
        self._url = f"{api.url}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._selector = f"{_SERVICE_LABEL}={service}"
        self._peer_port = peer_port
        self._table = table
        self._slices: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        """Follow the Service until cancelled; on any failure keep what is known and try again."""
        pause = _FIRST_PAUSE_SECONDS
        connector = aiohttp.TCPConnector(ssl=self._api.tls())
        async with aiohttp.ClientSession(connector=connector) as session:
            while True:
                try:
                    version = await self._list(session)
                    pause = _FIRST_PAUSE_SECONDS
                    while True:
                        version = await self._watch(session, version)
                except _ResyncError as reason:
                    _log.info("endpoints are listed anew", reason=str(reason))
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                    _log.warning("endpoints unknown for now; the last known stay", error=_told(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _list(self, session: aiohttp.ClientSession) -> str:
        timeout = aiohttp.ClientTimeout(total=10)
        params = {"labelSelector": self._selector}
        async with session.get(
            self._url, params=params, headers=self._api.headers(), timeout=timeout
        ) as response:
            if response.status != 200:  # noqa: PLR2004 - HTTP's number
                raise ValueError(await _refused(response))
            document = await response.json()
        self._slices = {item["metadata"]["name"]: item for item in document["items"]}
        self._publish()
        return str(document["metadata"]["resourceVersion"])

    async def _watch(self, session: aiohttp.ClientSession, version: str) -> str:
        """Follow changes until the API server ends the watch; return where to go on."""
        params = {
            "labelSelector": self._selector,
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_SECONDS)
        async with session.get(
            self._url, params=params, headers=self._api.headers(), timeout=timeout
        ) as response:
            if response.status == _GONE:
                raise _ResyncError("the watch's version is gone")
            if response.status != 200:  # noqa: PLR2004 - HTTP's number
                raise ValueError(await _refused(response))
            buffer = b""
            async for chunk in response.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                if len(buffer) > _LONGEST_LINE:
                    raise _ResyncError("a watch event has no end")
                for line in lines:
                    version = self._event(line) or version
        self._table.confirm(time.monotonic())
        return version

    def _event(self, line: bytes) -> str | None:
        """Apply one watch event; return the version it stands at."""
        if not line.strip():
            return None
        event = json.loads(line)
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            if item.get("code") == _GONE:
                raise _ResyncError("the watch's version is gone")
            raise ValueError(f"the API server ended the watch: {item.get('message')}")
        name = item["metadata"].get("name")
        if kind in ("ADDED", "MODIFIED"):
            self._slices[name] = item
        elif kind == "DELETED":
            self._slices.pop(name, None)
        if kind == "BOOKMARK":
            self._table.confirm(time.monotonic())
        else:
            self._publish()
        return str(item["metadata"]["resourceVersion"])

    def _publish(self) -> None:
        found = {p.id: p for item in self._slices.values() for p in ready_peers(item, self._peer_port)}
        self._table.update(found.values(), time.monotonic())


def ready_peers(endpoint_slice: Mapping[str, Any], peer_port: int) -> Iterator[Peer]:
    """Yield the peers of one EndpointSlice that take new requests.

    A missing `ready` means ready, as the API documents; a terminating endpoint drains and is left out
    even while it still serves. `peer_port` is used unless the slice names a port `peer`.
    """
    ports = {port.get("name") or "": port.get("port") for port in endpoint_slice.get("ports") or ()}
    peer = next((ports[name] for name in _PEER_PORT_NAMES if ports.get(name)), peer_port)
    fronts = [port for name, port in ports.items() if name not in _PEER_PORT_NAMES and port]
    front = fronts[0] if fronts else peer
    for endpoint in endpoint_slice.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        if conditions.get("ready") is False or conditions.get("terminating") is True:
            continue
        for address in (endpoint.get("addresses") or ())[:1]:
            yield Peer(front=join_address(address, front), peer=join_address(address, peer))


async def _refused(response: aiohttp.ClientResponse) -> str:
    text = (await response.text())[:300]
    return f"the API server answered {response.status}: {text}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
