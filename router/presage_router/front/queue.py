"""Requests that wait at this front because no guard has room.

They are bound late: a guard with room takes the first in line. One too large for what is free is
passed by for a moment; if it has waited longer than that, one guard is chosen to gather room for it, so
that small requests can never starve a large one.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from presage_policies.objectives import Objectives
from presage_policies.queueing import FCFS, Waiting, WaitingRoom

from presage_router.config import QueueConfig
from presage_router.errors import Refusal
from presage_router.jobs import Job
from presage_router.wire import Take, Taken

PATIENCE_SECONDS = 1.0
_GATHERER_SILENT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes: a peer's id, and the reservation when that peer's guard pulled it."""

    peer: str
    reservation: str | None = None


@dataclass(slots=True)
class _Gathering:
    key: str
    guard: str
    heard: float


class FrontQueue:
    """The waiting room of one front. `on_waiting` is called when the first request begins to wait."""

    def __init__(self, config: QueueConfig, objectives: Objectives, on_waiting: Callable[[], None]) -> None:
        self._room = WaitingRoom(FCFS(), config.max_requests, config.max_wait_seconds)
        self._objectives = objectives
        self._on_waiting = on_waiting
        self._places: dict[str, asyncio.Future[Place]] = {}
        self._away: set[str] = set()
        self._gathering: _Gathering | None = None

    def __len__(self) -> int:
        return len(self._room)

    @property
    def oldest_seconds(self) -> float:
        """How long the first in line has waited; zero when nobody waits."""
        return self._room.oldest_seconds(time.monotonic())

    def reconfigure(self, config: QueueConfig, objectives: Objectives) -> None:
        """Take over new bounds; those who wait go on waiting."""
        self._room.max_requests = config.max_requests
        self._room.max_wait_seconds = config.max_wait_seconds
        self._objectives = objectives

    async def wait(self, key: str, job: Job) -> Place:
        """Wait for a guard with room. Raises Refusal `queue-full` or `queue-timeout`."""
        again = key in self._away
        self._away.discard(key)
        if not again and len(self._room) + len(self._away) >= self._room.max_requests:
            raise Refusal("queue-full", f"{len(self._room)} requests wait here already; try again later")
        waiting = Waiting(key, job.arrived, job.prompt_tokens, job.length, self._objectives, job.client)
        self._room.admit(waiting)
        place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._places[key] = place
        if len(self._room) == 1:
            self._on_waiting()
        limit = self._room.max_wait_seconds
        try:
            async with asyncio.timeout(max(0.0, job.arrived + limit - time.monotonic())):
                return await place
        except TimeoutError:
            raise Refusal(
                "queue-timeout", f"no instance had room within {limit:g} s; try again later"
            ) from None
        finally:
            self._room.cancel(key)
            self._places.pop(key, None)

    def settled(self, key: str) -> None:
        """Note that a request has found its place, or given up: it no longer counts against the bound."""
        self._away.discard(key)

    def take(self, take: Take) -> Taken:
        """Give waiting requests to a guard, first in line first, as far as they fit."""
        now = time.monotonic()
        if self._gathers_for_first(take, now):
            return self._told([], now, blocked=True)
        taken = self._room.take(take.room, now, lambda w: self._still_waits(w) and _fits(take, w))
        for waiting in taken:
            self._away.add(waiting.request_id)
            self._places[waiting.request_id].set_result(Place(take.guard, take.reservation))
        return self._told(taken, now, blocked=False)

    def _gathers_for_first(self, take: Take, now: float) -> bool:
        """Tell whether this guard is the one that gathers room for the first in line."""
        waiting = filter(self._still_waits, self._room)
        first = min(waiting, key=lambda w: (*self._room.order.key(w, now), w.arrived), default=None)
        if first is None or _fits(take, first):
            return False
        if now - first.arrived < PATIENCE_SECONDS:
            return False
        chosen = self._gathering
        if (
            chosen is None
            or chosen.key != first.request_id
            or chosen.guard == take.guard
            or now - chosen.heard > _GATHERER_SILENT_SECONDS
        ):
            self._gathering = _Gathering(first.request_id, take.guard, now)
            return True
        return False

    def _still_waits(self, waiting: Waiting) -> bool:
        """Tell whether its client is still there: one that has just left is in the room for a moment yet."""
        return not self._places[waiting.request_id].done()

    def _told(self, taken: list[Waiting], now: float, *, blocked: bool) -> Taken:
        return Taken(
            taken=len(taken),
            prompt_tokens=sum(w.prompt_tokens for w in taken),
            output_tokens=sum(w.length.mean for w in taken),
            count=len(self._room),
            oldest=round(self._room.oldest_seconds(now), 3),
            blocked=blocked,
        )


def _fits(take: Take, waiting: Waiting) -> bool:
    return take.fits(waiting.prompt_tokens, waiting.length.mean)
