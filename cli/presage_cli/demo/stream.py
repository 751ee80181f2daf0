"""Follows one streamed answer: when tokens came, how many, and how the stream ended."""

import json
from dataclasses import dataclass, field

_DATA = b"data:"
_DONE = b"[DONE]"


@dataclass
class AnswerStream:
    """Server-sent events of one chat completion, fed in pieces of any size; times are seconds.

    `first_at` and `last_at` are when the first and the last piece of text came. `first_tokens` is
    how many tokens had come out with the first one: an engine may send several in a chunk.
    """

    first_at: float | None = None
    last_at: float | None = None
    first_tokens: int = 1
    output_tokens: int | None = None
    chunks: int = 0
    done: bool = False
    error: str | None = None
    _rest: bytes = field(default=b"", repr=False)

    def feed(self, piece: bytes, now: float) -> None:
        """Take in the bytes that came at `now`."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(_DATA):
                self._event(line[len(_DATA) :].strip(), now)

    def _event(self, data: bytes, now: float) -> None:
        if data == _DONE:
            self.done = True
            return
        try:
            event = json.loads(data)
        except ValueError:
            self.error = "the stream holds an event that is no JSON"
            return
        if "error" in event:
            detail = event["error"]
            self.error = str(detail.get("message", detail)) if isinstance(detail, dict) else str(detail)
            return
        usage = event.get("usage")
        if usage:
            self.output_tokens = int(usage["completion_tokens"])
        if any(_has_text(choice) for choice in event.get("choices") or ()):
            self._text(now, usage)

    def _text(self, now: float, usage: dict[str, int] | None) -> None:
        self.chunks += 1
        self.last_at = now
        if self.first_at is None:
            self.first_at = now
            self.first_tokens = int(usage["completion_tokens"]) if usage else 1

    def seconds_per_token(self) -> float | None:
        """Mean time per token after the first chunk's, in seconds; None without any such token."""
        if self.first_at is None or self.last_at is None or self.output_tokens is None:
            return None
        later = self.output_tokens - self.first_tokens
        return (self.last_at - self.first_at) / later if later > 0 and self.chunks > 1 else None


def _has_text(choice: dict[str, object]) -> bool:
    delta = choice.get("delta")
    return isinstance(delta, dict) and bool(delta.get("content"))
