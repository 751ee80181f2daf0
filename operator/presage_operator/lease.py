"""Leader election: of several operators one acts.

A `coordination.k8s.io` Lease, held the way client-go holds one: expiry is judged by this process's
own monotonic clock since the lease was last *seen to change*, so that clocks of different machines
need not agree. A holder that cannot renew stops acting before anyone else may take over.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from presage_operator.kube import ApiError, KubeApi, Object

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LeaseSettings:
    """Where the lease is and how long it lasts, in seconds."""

    namespace: str
    name: str = "presage-operator"
    identity: str = ""
    duration_seconds: int = 15
    renew_deadline_seconds: float = 10.0  # a holder that has not renewed for this long stops acting
    retry_seconds: float = 2.0

    @property
    def collection(self) -> str:
        """Path of the leases of the namespace."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

    @property
    def path(self) -> str:
        """Path of the lease."""
        return f"{self.collection}/{self.name}"


@dataclass
class Sighting:
    """The lease as last seen, and since when (monotonic seconds) it has looked like that."""

    marks: tuple[Any, ...] = ()
    since: float = field(default=0.0)

    def look(self, lease: Object, now: float) -> None:
        """Note the lease as read at `now`; the time moves only when holder or renewal changed."""
        spec = lease.get("spec", {})
        marks = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if marks != self.marks:
            self.marks, self.since = marks, now


def claimable(lease: Object, identity: str, seen_since: float, now: float) -> bool:
    """Whether `identity` may write itself into the lease: own, released, or expired."""
    spec = lease.get("spec", {})
    holder = spec.get("holderIdentity") or ""
    if holder in ("", identity):
        return True
    return now - seen_since > float(spec.get("leaseDurationSeconds") or 0)


def claimed(lease: Object, settings: LeaseSettings, at: datetime) -> Object:
    """Return the lease with `settings.identity` as its holder, renewed at `at`."""
    spec = dict(lease.get("spec", {}))
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if spec.get("holderIdentity") != settings.identity:
        spec["acquireTime"] = stamp
        spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
    spec.update(
        holderIdentity=settings.identity, renewTime=stamp, leaseDurationSeconds=settings.duration_seconds
    )
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {**lease.get("metadata", {}), "name": settings.name, "namespace": settings.namespace},
        "spec": spec,
    }


class LeaseGate:
    """Holds the lease while it can; tells who may act."""

    def __init__(
        self, api: KubeApi, settings: LeaseSettings, on_change: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._api = api
        self._settings = settings
        self._on_change = on_change
        self._renewed: float | None = None
        self._sighting = Sighting()
        self._was_leading = False

    @property
    def leading(self) -> bool:
        """Whether this process may act now: it holds the lease and renewed it recently."""
        if self._renewed is None:
            return False
        return time.monotonic() - self._renewed < self._settings.renew_deadline_seconds

    async def run(self) -> None:
        """Acquire, renew and watch the deadline, until cancelled; releases the lease at the end."""
        try:
            while True:
                await self._round()
                self._announce()
                await asyncio.sleep(self._settings.retry_seconds)
        finally:
            with contextlib.suppress(ApiError):
                await asyncio.shield(self._release())

    async def _round(self) -> None:
        started = time.monotonic()
        try:
            # Bounded well under the deadline, so that a hung API server is noticed in time.
            won = await asyncio.wait_for(self._try_claim(), self._settings.renew_deadline_seconds / 2)
        except (ApiError, TimeoutError) as error:
            log.warning("lease not renewed", lease=self._settings.path, error=str(error) or "timed out")
            return
        # The time before the request counts: the server may have stored the renewal that early.
        self._renewed = started if won else None

    async def _try_claim(self) -> bool:
        settings = self._settings
        try:
            lease = await self._api.get(settings.path)
        except ApiError as error:
            if not error.not_found:
                raise
            return await self._write("POST", settings.collection, {})
        now = time.monotonic()
        self._sighting.look(lease, now)
        if not claimable(lease, settings.identity, self._sighting.since, now):
            return False
        return await self._write("PUT", settings.path, lease)

    async def _write(self, method: str, path: str, lease: Object) -> bool:
        body = claimed(lease, self._settings, datetime.now(UTC))
        try:
            await self._api.request(method, path, body=body)
        except ApiError as error:
            if error.conflict:  # another candidate was faster
                return False
            raise
        return True

    def _announce(self) -> None:
        if self.leading == self._was_leading:
            return
        self._was_leading = self.leading
        log.info("leading" if self.leading else "standing by", identity=self._settings.identity)
        self._on_change(self.leading)

    async def _release(self) -> None:
        """Hand the lease back, so that a successor need not wait for it to expire."""
        if self._renewed is None:
            return
        self._renewed = None
        self._announce()
        lease = await self._api.get(self._settings.path)
        if lease.get("spec", {}).get("holderIdentity") != self._settings.identity:
            return
        lease["spec"].update(holderIdentity="", leaseDurationSeconds=1)
        await self._api.replace(self._settings.path, lease)
