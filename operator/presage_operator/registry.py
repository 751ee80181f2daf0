"""Which services there are, and the one task that looks after each of them while this process leads."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog

from presage_operator.rivals import rival_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from presage_operator.keeper import Keeper
    from presage_operator.kube import Object
    from presage_operator.observe import Trouble

    Key = tuple[str, str]

log = structlog.get_logger(__name__)

STUCK_SECONDS = 120.0


class Registry:
    """Keeps a `Keeper` running per known service while leading, and none while not."""

    def __init__(self, keeper: Callable[[Object], Keeper]) -> None:
        self._make = keeper
        self._objects: dict[Key, Object] = {}
        self._keepers: dict[Key, tuple[Keeper, asyncio.Task[None]]] = {}
        self._leading = False

    def event(self, kind: str | None, raw: Object) -> None:
        """Take in a watch event of an LLMService; one that is being deleted is left alone at once."""
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        if kind == "DELETED" or "deletionTimestamp" in raw["metadata"]:
            self._objects.pop(key, None)
            self._end(key)
            return
        known = self._objects.get(key)
        self._objects[key] = raw
        if known is not None and known["metadata"]["uid"] != raw["metadata"]["uid"]:
            self._end(key)  # deleted and made anew while the watch was away
        if key in self._keepers:
            self._keepers[key][0].update(raw)
        elif self._leading:
            self._begin(key)

    def lead(self, leading: bool) -> None:
        """Begin to act on every known service, or stop acting at once."""
        self._leading = leading
        for key in list(self._objects if leading else self._keepers):
            if leading:
                self._begin(key)
            else:
                self._end(key)

    def rival(self, raw: Object) -> Trouble | None:
        """Return why a service may not scale its target: another one does."""
        return rival_of(raw, self._objects.values())

    def recommendation(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the current number for other autoscalers; None when nobody stands behind one.

        A standby serves what the leader has published in the status.
        """
        key = (namespace, name)
        if key in self._keepers:
            return self._keepers[key][0].recommendation()
        if self._leading or key not in self._objects:
            return None
        pools = self._objects[key].get("status", {}).get("pools") or []
        return (
            {"desiredReplicas": pools[0]["desiredReplicas"]}
            if pools and "desiredReplicas" in pools[0]
            else None
        )

    def trouble(self) -> str | None:
        """Return what a liveness probe should know: a keeper that hangs or died."""
        for (namespace, name), (keeper, task) in self._keepers.items():
            if task.done():
                return f"the loop of {namespace}/{name} has ended"
            if time.monotonic() - keeper.alive_at > STUCK_SECONDS + keeper.interval_seconds:
                return f"the loop of {namespace}/{name} hangs"
        return None

    async def close(self) -> None:
        """Stop acting and wait until every task has ended."""
        tasks = [task for _, task in self._keepers.values()]
        self.lead(False)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: Key) -> None:
        if key in self._keepers:
            return
        keeper = self._make(self._objects[key])
        task = asyncio.get_running_loop().create_task(keeper.run(), name=f"keeper {key[0]}/{key[1]}")
        self._keepers[key] = (keeper, task)

    def _end(self, key: Key) -> None:
        running = self._keepers.pop(key, None)
        if running is not None:
            running[1].cancel()
