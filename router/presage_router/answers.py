"""An answer under way, whether it comes from this sidecar's own engine or over a peer's.

Fronts relay both alike: bytes are read one piece at a time, as fast as the client takes them.
"""

from typing import Protocol

from presage_router.errors import Reason
from presage_router.headers import Headers
from presage_router.summary import Summary


class UnavailableError(Exception):
    """This peer cannot answer, another might: nothing has reached the client yet.

    `certain`: the peer is surely out of service (refused, draining), so others should avoid it too.
    """

    def __init__(self, reason: Reason, message: str, *, certain: bool = False) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.certain = certain


class Answer(Protocol):
    """An upstream's answer whose first byte is there."""

    status: int
    headers: Headers
    died: bool  # the upstream broke off; the last piece told the client so
    summary: Summary | None  # token counts, known after the last piece

    async def read(self) -> bytes:
        """Return the next piece; empty at the end. Never raises for an upstream's failure."""
        ...

    def close(self) -> None:
        """Let go of the upstream; one that has not ended is thereby aborted."""
        ...
