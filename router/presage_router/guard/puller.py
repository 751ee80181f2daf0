"""Pulls waiting requests when the engine gains room: work is bound late, to whoever is free first.

Fronts say that requests wait at them and say so again every quarter of a second; a lost message delays
and never strands. The front whose oldest request has waited longest is served first. One request is
taken at a time: its size decides whether there is room for another.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import structlog

from presage_router.answers import UnavailableError
from presage_router.guard.guard import Guard
from presage_router.wire import Take, Taken, WaitingNote

_log = structlog.get_logger("presage.router")
_FORGET_SECONDS = 1.0  # four offers missed: the front is gone or its queue is empty
_TICK_SECONDS = 0.25
MOST_FRONTS = 4096

TakeFrom = Callable[[str, Take], Awaitable[Taken]]


@dataclass(slots=True)
class _Heard:
    count: int
    oldest_since: float
    at: float


class Puller:
    """Knows which fronts have waiting requests, and takes them for one guard.

    `take(front, take)` asks a front (raises UnavailableError or ValueError when it fails).
    """

    def __init__(self, guard: Guard, guard_id: str, take: TakeFrom) -> None:
        self._guard = guard
        self._guard_id = guard_id
        self._take = take
        self._heard: dict[str, _Heard] = {}
        self._wanted = asyncio.Event()
        self._numbers = itertools.count()

    def note(self, note: WaitingNote) -> None:
        """Take in what a front tells of its queue."""
        now = time.monotonic()
        if note.count <= 0:
            self._heard.pop(note.front, None)
            return
        if note.front in self._heard or len(self._heard) < MOST_FRONTS:
            self._heard[note.front] = _Heard(note.count, now - max(0.0, note.oldest), now)
            self._wanted.set()

    def others_first(self) -> bool:
        """Tell whether requests wait anywhere: they came before one that arrives now."""
        return bool(self._heard)

    def room_gained(self) -> None:
        """Look again whether something can be taken."""
        if self._heard:
            self._wanted.set()

    async def run(self) -> None:
        """Pull until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                self._forget()
                self._guard.expire()
                continue
            self._wanted.clear()
            await self._pull()

    def _forget(self) -> None:
        limit = time.monotonic() - _FORGET_SECONDS
        for front in [front for front, heard in self._heard.items() if heard.at < limit]:
            del self._heard[front]

    async def _pull(self) -> None:
        passed_over: set[str] = set()
        while self._guard.open and self._could_start():
            front = self._oldest(passed_over)
            if front is None:
                return
            taken = await self._take_one(front)
            if taken is None or (taken.taken == 0 and taken.count > 0 and not taken.blocked):
                passed_over.add(front)
            elif taken.blocked:
                return  # gather room for the one that has waited longest; the next room gained looks again

    def _could_start(self) -> bool:
        return self._guard.ledger.could_start(self._guard.objectives, time.monotonic())

    def _oldest(self, passed_over: set[str]) -> str | None:
        able = {front: heard for front, heard in self._heard.items() if front not in passed_over}
        return min(able, key=lambda front: able[front].oldest_since, default=None)

    async def _take_one(self, front: str) -> Taken | None:
        """Take one request from a front. The reservation stands before asking: the request may come first."""
        ledger = self._guard.ledger
        reservation = f"{self._guard_id}/{next(self._numbers)}"
        free = ledger.free_tokens()
        take = Take(self._guard_id, 1, reservation, None if free is None else tuple(free))
        ledger.hold(reservation, 0, 1, time.monotonic())
        try:
            taken = await self._take(front, take)
        except (UnavailableError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.debug("take failed", front=front, error=str(error))
            ledger.redeem(reservation)
            self._heard.pop(front, None)
            return None
        now = time.monotonic()
        if ledger.redeem(reservation) and taken.taken:
            ledger.hold(reservation, taken.prompt_tokens, taken.output_tokens, now)
        if taken.count > 0:
            self._heard[front] = _Heard(taken.count, now - taken.oldest, now)
        else:
            self._heard.pop(front, None)
        return taken
