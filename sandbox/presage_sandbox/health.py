"""Asks programs over HTTP whether they serve."""

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

TIMEOUT_SECONDS = 2.0


def answers_ok(url: str, certificates: Path, client: str | None = None) -> Callable[[], Awaitable[bool]]:
    """Make a check that `url` answers 200 within 2 s.

    Servers must present a certificate of the sandbox's authority in `certificates`; `client` names
    the certificate there that we present. No connection, or a bad one, is a no.
    """
    trust = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    if client is not None:
        trust.load_cert_chain(certificates / f"{client}.crt", certificates / f"{client}.key")

    async def check() -> bool:
        try:
            async with httpx.AsyncClient(verify=trust, timeout=TIMEOUT_SECONDS, trust_env=False) as session:
                return (await session.get(url)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return check
