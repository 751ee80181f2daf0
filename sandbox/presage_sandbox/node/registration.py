"""The node as the API knows it: waits until it is Ready, and keeps its GPUs offered."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import yaml

from presage_sandbox.errors import SandboxError
from presage_sandbox.identities import NODE_NAME
from presage_sandbox.layout import Layout

GPU = "nvidia.com/gpu"
READY_SECONDS = 60.0
POLL_SECONDS = 0.1
TEND_SECONDS = 5.0
NODE_PATH = f"/api/v1/nodes/{NODE_NAME}"


@contextlib.asynccontextmanager
async def _session(layout: Layout) -> AsyncIterator[httpx.AsyncClient]:
    config = yaml.safe_load((layout.kubeconfigs / "admin.kubeconfig").read_text())
    token = config["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cafile=str(layout.certificates / "ca.crt"))
    async with httpx.AsyncClient(
        base_url=layout.apiserver_url,
        headers={"authorization": f"Bearer {token}"},
        verify=trust,
        trust_env=False,
    ) as session:
        yield session


async def wait_until_ready(layout: Layout) -> None:
    """Wait for the node's Ready condition; SandboxError with its message after 60 s."""
    deadline = time.monotonic() + READY_SECONDS
    async with _session(layout) as session:
        while True:
            condition = ready_condition(await _node(session))
            if condition.get("status") == "True":
                return
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"the node was not Ready within {READY_SECONDS:g} s: "
                    f"{condition.get('message', 'the kubelet did not register it')}; see "
                    f"{layout.logs / 'kubelet.log'} and {layout.logs / 'containerd.log'}"
                )
            await asyncio.sleep(POLL_SECONDS)


async def keep_gpus(layout: Layout) -> None:
    """Offer `layout.options.gpus` GPUs on the node, for ever: a kubelet that restarts takes them back."""
    while True:
        with contextlib.suppress(httpx.HTTPError):  # the API server may be away; the next round repairs
            await offer_gpus(layout)
        await asyncio.sleep(TEND_SECONDS)


async def offer_gpus(layout: Layout) -> None:
    """Set the node's capacity of `nvidia.com/gpu` where it differs; httpx.HTTPError when not possible."""
    count = str(layout.options.gpus)
    async with _session(layout) as session:
        status = (await _node(session)).get("status", {})
        offered = {status.get(key, {}).get(GPU) for key in ("capacity", "allocatable")}
        if not status or offered == {count}:
            return
        answer = await session.patch(
            f"{NODE_PATH}/status",
            json={"status": {"capacity": {GPU: count}, "allocatable": {GPU: count}}},
            headers={"content-type": "application/merge-patch+json"},
        )
        answer.raise_for_status()


def ready_condition(node: dict[str, Any]) -> dict[str, Any]:
    """Return the Ready condition of a Node object; empty where it has none."""
    conditions = node.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each.get("type") == "Ready"), {})


async def _node(session: httpx.AsyncClient) -> dict[str, Any]:
    """Read the Node object; empty where there is none yet."""
    answer = await session.get(NODE_PATH)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return {}
    node: dict[str, Any] = answer.raise_for_status().json()
    return node
