"""Leaving without losing anyone: take nothing new, finish what is here, then go.

A drain lasts a few seconds even when nothing is under way, because proxies learn late that this pod is
leaving; clients that still come are served by forwarding to others.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from presage_router.config import TimeoutsConfig

_log = structlog.get_logger("presage.router")
_LOOK_SECONDS = 0.05


class Drain:
    """One drain, begun at most once. `busy` returns how many requests and relays are under way."""

    def __init__(self, begin: Callable[[], None], busy: Callable[[], int]) -> None:
        self._begin = begin
        self._busy = busy
        self._began_at: float | None = None

    async def run(self, timeouts: TimeoutsConfig) -> bool:
        """Drain, and return whether all ended in time; a second call waits for the same drain."""
        if self._began_at is None:
            self._began_at = time.monotonic()
            self._begin()
            _log.info("drain begins", busy=self._busy())
        earliest = self._began_at + min(timeouts.linger_seconds, timeouts.drain_seconds)
        latest = self._began_at + timeouts.drain_seconds
        # Work begins and ends in many places: looking is simpler than being told, and as good here.
        while (now := time.monotonic()) < latest and (now < earliest or self._busy()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(_LOOK_SECONDS)
        left = self._busy()
        _log.log(30 if left else 20, "drain ends", left=left, seconds=round(now - self._began_at, 3))
        return not left
