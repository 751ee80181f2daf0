"""The messages between sidecars as types: written by one side, read and checked by the other."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from presage_policies.lengths import LengthDistribution

from presage_router.errors import Refusal

BID_PATH = "/presage/v1/bid"
FORWARD_PREFIX = "/presage/v1/forward"
WAITING_PATH = "/presage/v1/waiting"
TAKE_PATH = "/presage/v1/take"


@dataclass(frozen=True, slots=True)
class BidRequest:
    """A front asks what a request would cost. `characters`: of the prompt's text, to size a prefix hit."""

    request_id: str
    prompt_tokens: int
    length: LengthDistribution
    prefix: tuple[int, ...]
    characters: int
    front: str

    def as_wire(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "request_id": self.request_id,
            "prompt_tokens": self.prompt_tokens,
            "length": self.length.as_wire(),
            "prefix": list(self.prefix),
            "characters": self.characters,
            "front": self.front,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read what `as_wire` wrote. Raises Refusal (400)."""
        try:
            return cls(
                request_id=str(wire["request_id"]),
                prompt_tokens=int(wire["prompt_tokens"]),
                length=LengthDistribution.from_wire(wire["length"]),
                prefix=tuple(int(block) for block in wire.get("prefix", ())),
                characters=int(wire.get("characters", 0)),
                front=str(wire.get("front", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _malformed("bid", error) from None


@dataclass(frozen=True, slots=True)
class WaitingNote:
    """A front tells that `count` requests wait at it, the oldest for `oldest` seconds."""

    front: str
    count: int
    oldest: float

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read the JSON object. Raises Refusal (400)."""
        try:
            return cls(str(wire["front"]), int(wire["count"]), float(wire["oldest"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _malformed("waiting", error) from None


@dataclass(frozen=True, slots=True)
class Take:
    """A guard with room takes waiting requests.

    `room`: how many; `free` bounds their size: (horizon in iterations, KV tokens free throughout it), None
    when the engine is idle and takes anything.
    """

    guard: str
    room: int
    reservation: str
    free: tuple[tuple[int, int], ...] | None = None

    def as_wire(self) -> dict[str, Any]:
        """Return the JSON object."""
        return asdict(self)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read what `as_wire` wrote. Raises Refusal (400)."""
        try:
            free = wire.get("free")
            pairs = None if free is None else tuple((int(h), int(t)) for h, t in free)
            return cls(str(wire["guard"]), int(wire["room"]), str(wire["reservation"]), pairs)
        except (KeyError, TypeError, ValueError) as error:
            raise _malformed("take", error) from None

    def fits(self, prompt_tokens: int, output_tokens: float) -> bool:
        """Tell whether a request of that size fits into what is free."""
        if self.free is None:
            return True
        tokens = next(
            (t for horizon, t in self.free if horizon >= output_tokens), self.free[-1][1] if self.free else 0
        )
        return prompt_tokens + output_tokens <= tokens


@dataclass(frozen=True, slots=True)
class Taken:
    """A front's answer to a take: how many come, their size, and what goes on waiting.

    `blocked`: the first in line needs more room than offered and this guard was chosen to gather it.
    """

    taken: int
    prompt_tokens: int
    output_tokens: float
    count: int
    oldest: float
    blocked: bool = False

    def as_wire(self) -> dict[str, Any]:
        """Return the JSON object."""
        return asdict(self)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read what `as_wire` wrote. Raises ValueError when a field is missing or wrong."""
        try:
            return cls(
                taken=int(wire["taken"]),
                prompt_tokens=int(wire["prompt_tokens"]),
                output_tokens=float(wire["output_tokens"]),
                count=int(wire["count"]),
                oldest=float(wire["oldest"]),
                blocked=bool(wire.get("blocked", False)),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"a take's answer is malformed: {error!r}") from error


def _malformed(kind: str, error: Exception) -> Refusal:
    return Refusal("bad-request", f"a {kind} message is malformed: {error!r}; see docs/architecture.md")
