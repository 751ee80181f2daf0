"""The bounded place where requests wait at their front until a guard with room takes them."""

import heapq
from collections.abc import Callable, Iterator

from presage_policies.queueing.order import Order, Waiting


class WaitingRoom:
    """Waiting requests in a policy's order, bounded in number and in time.

    Every request leaves exactly once: taken, expired or cancelled. Raises ValueError on a bad bound.
    """

    def __init__(self, order: Order, max_requests: int, max_wait_seconds: float) -> None:
        if max_requests < 0:
            raise ValueError(f"queue.maxRequests is {max_requests}: give 0 (nobody waits) or more")
        if not max_wait_seconds > 0:
            raise ValueError(f"queue.maxWaitSeconds is {max_wait_seconds}: give a positive number of seconds")
        self.order = order
        self.max_requests = max_requests
        self.max_wait_seconds = max_wait_seconds
        self._waiting: dict[str, Waiting] = {}
        self._taken = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._waiting

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting.values())

    @property
    def full(self) -> bool:
        """Whether the next request would be turned away."""
        return len(self._waiting) >= self.max_requests

    def admit(self, waiting: Waiting) -> bool:
        """Let a request in; False when the room is full. Raises ValueError when its id already waits."""
        if waiting.request_id in self._waiting:
            raise ValueError(f"request {waiting.request_id!r} already waits: give another id")
        if self.full:
            return False
        self._waiting[waiting.request_id] = waiting
        return True

    def head(self, now: float) -> Waiting | None:
        """Return who goes first, without removing; None when nobody waits."""
        return min(self._waiting.values(), key=lambda w: self._key(w, now), default=None)

    def take(self, count: int, now: float, fits: Callable[[Waiting], bool] | None = None) -> list[Waiting]:
        """Remove and return the first `count` in order (of those that `fits` allows), none that expired."""
        able = [w for w in self._waiting.values() if self._may_wait(w, now) and (fits is None or fits(w))]
        first: list[Waiting] = []
        if self.order.late_turn == 0:
            first = heapq.nsmallest(count, able, key=lambda w: self._key(w, now))
        else:  # whose turn it is changes with each that is taken
            while able and len(first) < count:
                first.append(min(able, key=lambda w: self._key(w, now)))
                able.remove(first[-1])
                self._taken += 1
        for waiting in first:
            del self._waiting[waiting.request_id]
        return first

    def expire(self, now: float) -> list[Waiting]:
        """Remove and return those that have waited too long."""
        late = [w for w in self._waiting.values() if not self._may_wait(w, now)]
        for waiting in late:
            del self._waiting[waiting.request_id]
        return late

    def cancel(self, request_id: str) -> bool:
        """Remove a request whose client left; False when it does not wait (any more)."""
        return self._waiting.pop(request_id, None) is not None

    def oldest_seconds(self, now: float) -> float:
        """Return how long the longest has waited; zero when nobody waits."""
        return max((now - w.arrived for w in self._waiting.values()), default=0.0)

    def _may_wait(self, waiting: Waiting, now: float) -> bool:
        return now < waiting.arrived + self.max_wait_seconds

    def _key(self, waiting: Waiting, now: float) -> tuple[float, ...]:
        key = (*self.order.key(waiting, now), waiting.arrived)
        turn = self.order.late_turn
        if turn and self._taken % turn == turn - 1:
            return (-key[0], *key[1:])
        return key
