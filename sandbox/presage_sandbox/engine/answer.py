"""One answer while it is being written: where the engine's loop and one connection meet.

The loop only ever raises a number and, when a chunk is due, sets an event; the connection's own
task does the writing. A client that reads slowly therefore holds up nobody: the number goes on, and
its next chunk carries all tokens that came out meanwhile.
"""

from __future__ import annotations

import asyncio

NEVER = 1 << 60


class Answer:
    """The progress of one request. Times are engine seconds, lengths tokens."""

    __slots__ = (
        "_due",
        "_wake",
        "arrival",
        "finish_reason",
        "finished",
        "generated",
        "last_token_at",
        "output_tokens",
        "prompt_tokens",
        "request_id",
    )

    def __init__(
        self, request_id: str, arrival: float, prompt_tokens: int, output_tokens: int, finish_reason: str
    ) -> None:
        self.request_id = request_id
        self.arrival = arrival
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.finish_reason = finish_reason
        self.generated = 0
        self.finished = False
        self.last_token_at: float | None = None
        self._due = NEVER
        self._wake = asyncio.Event()

    def advance(self, generated: int, now: float) -> None:
        """Take note of the tokens written so far and wake the connection if a chunk is due."""
        self.generated = generated
        self.last_token_at = now
        if generated >= self._due:
            self._wake.set()

    def finish(self) -> None:
        """Say that no more tokens come."""
        self.finished = True
        self._wake.set()

    async def reach(self, tokens: int) -> int:
        """Wait for `tokens` of the answer or its end; give how many tokens there are by then."""
        self._due = tokens
        if self.generated < tokens and not self.finished:
            self._wake.clear()
            await self._wake.wait()
        self._due = NEVER
        return self.generated

    async def end(self) -> int:
        """Wait for the whole answer; give its length in tokens."""
        return await self.reach(NEVER)
