"""Certificates of the sandbox's own authority."""

import asyncio
import ssl
import stat
from pathlib import Path

import httpx
import pytest
from presage_sandbox.certificates import make_certificates
from presage_sandbox.health import answers_ok


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one folder of certificates."""
    folder = tmp_path_factory.mktemp("pems") / "certificates"
    make_certificates(folder)
    return folder


async def say_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer any HTTP request with 200."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def serve(pems: Path, *, clients: bool) -> asyncio.Server:
    """Serve 200 with the API server's certificate; `clients` must then present one of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pems / "apiserver.crt", pems / "apiserver.key")
    if clients:
        context.load_verify_locations(pems / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    return await asyncio.start_server(say_ok, "127.0.0.1", 0, ssl=context)


async def test_a_client_of_the_authority_is_served(pems: Path) -> None:
    """Server and client certificates verify against the authority, in both directions."""
    async with await serve(pems, clients=True) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/health"
        assert await answers_ok(url, pems, client="etcd")()
        assert not await answers_ok(url, pems)()


async def test_a_server_of_another_authority_is_not_trusted(pems: Path, tmp_path: Path) -> None:
    """Two sandboxes do not take each other's servers for their own."""
    make_certificates(tmp_path)
    async with await serve(pems, clients=False) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/health"
        assert await answers_ok(url, pems)()
        assert not await answers_ok(url, tmp_path)()
        async with httpx.AsyncClient(trust_env=False) as stranger:
            with pytest.raises(httpx.ConnectError):
                await stranger.get(url)


def test_keys_are_for_their_owner_only(pems: Path) -> None:
    """No private key can be read by another user."""
    keys = list(pems.glob("*.key"))
    assert len(keys) == 6
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
