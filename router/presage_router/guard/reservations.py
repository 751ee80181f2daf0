"""Room that is promised to requests on their way, and falls free when they do not come."""

from dataclasses import dataclass

HOLD_SECONDS = 2.0  # far more than a hop takes, far less than a client would notice as lost room


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room for one pulled request: its tokens (prompt and predicted output) and when it lapses."""

    prompt_tokens: int
    tokens: int
    expires: float


class Reservations:
    """Open reservations by id; times are monotonic seconds."""

    def __init__(self) -> None:
        self._open: dict[str, Reservation] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def tokens(self) -> int:
        """KV tokens promised in all."""
        return sum(r.tokens for r in self._open.values())

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens promised in all: prefill that is about to arrive."""
        return sum(r.prompt_tokens for r in self._open.values())

    def hold(self, key: str, prompt_tokens: int, tokens: int, now: float) -> None:
        """Promise room."""
        self._open[key] = Reservation(prompt_tokens, tokens, now + HOLD_SECONDS)

    def redeem(self, key: str | None) -> bool:
        """Take a promise up; False when there is none (any more)."""
        return key is not None and self._open.pop(key, None) is not None

    def expire(self, now: float) -> list[str]:
        """Drop what nobody came for; return which."""
        lapsed = [key for key, r in self._open.items() if r.expires <= now]
        for key in lapsed:
            del self._open[key]
        return lapsed
