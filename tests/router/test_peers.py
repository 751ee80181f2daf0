"""Who else there is and who answers: standing, the peers file, EndpointSlices."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from presage_router.config import ConfigError
from presage_router.peers.endpointslices import ApiServer, EndpointSlicePeers, ready_peers
from presage_router.peers.static_file import StaticPeers, read_peers
from presage_router.peers.table import Peer, PeerTable

PEERS = [Peer(f"10.0.0.{n}:8000", f"10.0.0.{n}:8100") for n in range(1, 5)]
steps = st.lists(
    st.tuples(
        st.sampled_from(["failed", "certain", "refused", "succeeded"]), st.integers(0, 3), st.floats(0, 20)
    ),
    max_size=40,
)


@given(steps)
def test_never_are_all_put_aside(history: list[tuple[str, int, float]]) -> None:
    """Whatever happens, somebody can be asked; and whoever did not fail is among them."""
    table = PeerTable("10.0.0.1:8100")
    table.update(PEERS, 0.0)
    now, failed = 0.0, set()
    for what, index, pause in history:
        now += pause
        peer = PEERS[index].id
        if what == "succeeded":
            table.succeeded(peer)
            failed.discard(peer)
        elif what == "refused":
            table.refused(peer, now)
            failed.add(peer)
        else:
            table.failed(peer, now, certain=what == "certain")
            failed.add(peer)
        usable = {p.id for p in table.usable(now)}
        assert usable
        assert table.self_id not in usable
        assert {p.id for p in table.others} - failed <= usable


def test_failures_put_a_peer_aside_for_longer_and_longer() -> None:
    """One uncertain failure is forgiven; a refused connection is not; the time aside doubles to a bound."""
    table = PeerTable("self")
    table.update(PEERS[:2], 0.0)
    peer = PEERS[0].id
    table.failed(peer, 0.0)
    assert not table.is_aside(peer, 0.0)
    table.failed(peer, 0.0)
    assert table.is_aside(peer, 0.9)
    assert not table.is_aside(peer, 1.1)
    for _ in range(10):
        table.failed(peer, 2.0, certain=True)
    assert table.is_aside(peer, 31.0)
    assert not table.is_aside(peer, 33.0)
    table.succeeded(peer)
    table.failed(peer, 40.0, certain=True)
    assert (table.is_aside(peer, 40.9), table.is_aside(peer, 41.1)) == (True, False)


def test_new_peers_are_announced_once() -> None:
    """Listeners hear of each peer when it appears, and not of this sidecar itself."""
    table = PeerTable(PEERS[0].id)
    heard: list[str] = []
    table.on_new(lambda fresh: heard.extend(p.id for p in fresh))
    table.update(PEERS[:2], 0.0)
    table.update(PEERS[:3], 1.0)
    table.update(PEERS[:3], 2.0)
    assert heard == [PEERS[1].id, PEERS[2].id]
    assert table.age(5.0) == 3.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ("front: a", "give a list"),
        ("- 7", r"\[0\] is 7: give exactly the keys front and peer"),
        ("- {front: 'a:1', peer: 'a'}", r"\[0\]\.peer is 'a': give HOST:PORT"),
        ("- {front: 'a:99999', peer: 'a:1'}", r"\[0\]\.front is 'a:99999'"),
        ("- {front: '::1:80', peer: 'a:1'}", "brackets"),
    ],
)
def test_a_bad_peers_file_is_explained(tmp_path: Path, text: str, told: str) -> None:
    """Each mistake in a peers file is named with its entry, its value and the fix."""
    file = tmp_path / "peers.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=told):
        read_peers(file)


async def test_the_peers_file_is_followed(tmp_path: Path, eventually: Any) -> None:
    """A changed file changes the table; a bad one keeps the last good list."""
    file = tmp_path / "peers.json"
    file.write_text(json.dumps([{"front": p.front, "peer": p.peer} for p in PEERS[:2]]))
    table = PeerTable(PEERS[0].id)
    static = StaticPeers(file, table)
    static.load()
    task = asyncio.ensure_future(static.run())
    file.write_text("nonsense: [")
    await asyncio.sleep(0.7)
    assert [p.id for p in table.others] == [PEERS[1].id]
    file.write_text(json.dumps([{"front": p.front, "peer": p.peer} for p in PEERS]))
    await eventually(lambda: len(table.others) == 3)
    task.cancel()


def slice_of(
    *endpoints: dict[str, Any], name: str = "chat-1", ports: Any = None, version: int = 1
) -> dict[str, Any]:
    """Return an EndpointSlice as the API gives it."""
    return {
        "metadata": {"name": name, "resourceVersion": str(version)},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8000}] if ports is None else ports,
        "endpoints": list(endpoints),
    }


def endpoint(address: str, **conditions: bool) -> dict[str, Any]:
    """Return one endpoint with the given conditions."""
    return {"addresses": [address], "conditions": conditions}


@pytest.mark.parametrize(
    ("conditions", "listed"),
    [
        ({}, True),
        ({"ready": True}, True),
        ({"ready": True, "serving": True, "terminating": False}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({"ready": True, "terminating": True}, False),
    ],
)
def test_conditions_of_endpoints_are_honoured(conditions: dict[str, bool], listed: bool) -> None:
    """Ready endpoints are peers, also when the condition is absent; terminating ones never are."""
    found = list(ready_peers(slice_of(endpoint("10.1.0.1", **conditions)), 8100))
    assert found == ([Peer("10.1.0.1:8000", "10.1.0.1:8100")] if listed else [])


def test_a_port_named_peer_is_used() -> None:
    """The slice's own peer port wins over the default; IPv6 gets brackets; absent lists are empty."""
    ports = [{"name": "http", "port": 80}, {"name": "peer", "port": 9100}]
    assert list(ready_peers(slice_of(endpoint("fd00::1"), ports=ports), 8100)) == [
        Peer("[fd00::1]:80", "[fd00::1]:9100")
    ]
    assert list(ready_peers({"endpoints": None, "ports": None}, 8100)) == []


class Api:
    """An API server that lists and watches what the test says."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.version = 10
        self.lists = 0
        self.tokens: list[str | None] = []
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.broken = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a list or a watch."""
        self.tokens.append(request.headers.get("Authorization"))
        if self.broken:
            return web.Response(status=500)
        assert request.query["labelSelector"] == "kubernetes.io/service-name=chat"
        if "watch" not in request.query:
            self.lists += 1
            return web.json_response(
                {"metadata": {"resourceVersion": str(self.version)}, "items": self.items}
            )
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await self.events.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
        return response


@contextlib.asynccontextmanager
async def watching(tmp_path: Path) -> AsyncIterator[tuple[Api, PeerTable]]:
    """Run the watch against such an API server."""
    api, table = Api(), PeerTable("10.1.0.1:8100")
    app = web.Application()
    app.router.add_get("/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices", api.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    token = tmp_path / "token"
    token.write_text("first\n")
    server = ApiServer(f"http://127.0.0.1:{runner.addresses[0][1]}", token, None)
    task = asyncio.ensure_future(EndpointSlicePeers(server, "ns", "chat", 8100, table).run())
    try:
        yield api, table
    finally:
        task.cancel()
        await runner.cleanup()


async def test_a_watch_is_followed_through_changes_and_trouble(tmp_path: Path, eventually: Any) -> None:
    """List, changes, a lost version (410), a failing API server: the table is right, and kept while blind."""

    def ids(table: PeerTable) -> list[str]:
        return sorted(p.id for p in table.others)

    one, two, three = (f"10.1.0.{n}:8100" for n in (2, 3, 4))
    async with watching(tmp_path) as (api, table):
        api.items = [slice_of(endpoint("10.1.0.1"), endpoint("10.1.0.2"))]
        await eventually(lambda: ids(table) == [one])
        added = slice_of(endpoint("10.1.0.3"), name="chat-2", version=11)
        api.events.put_nowait({"type": "ADDED", "object": added})
        await eventually(lambda: ids(table) == [one, two])
        bookmark = {"metadata": {"resourceVersion": "12"}}
        api.events.put_nowait({"type": "BOOKMARK", "object": bookmark})
        api.events.put_nowait({"type": "DELETED", "object": added})
        await eventually(lambda: ids(table) == [one])
        api.items = [slice_of(endpoint("10.1.0.4"))]
        (tmp_path / "token").write_text("rotated")
        api.events.put_nowait({"type": "ERROR", "object": {"code": 410, "message": "too old"}})
        await eventually(lambda: ids(table) == [three])
        assert api.lists == 2
        assert api.tokens[0] == "Bearer first"
        assert api.tokens[-1] == "Bearer rotated"
        api.broken = True
        api.events.put_nowait(None)
        await asyncio.sleep(0.3)
        assert ids(table) == [three]
        assert table.age(time.monotonic()) > 0.2
        api.broken = False
        await eventually(lambda: table.age(time.monotonic()) < 0.2)


def test_outside_of_a_pod_the_fix_is_named() -> None:
    """Without the service-account environment the error says what to use instead."""
    with pytest.raises(ConfigError, match="--peers-file"):
        ApiServer.in_cluster({})
    api = ApiServer.in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"})
    assert api.url == "https://[fd00::1]:6443"
