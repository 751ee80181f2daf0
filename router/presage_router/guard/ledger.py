"""What the guard knows of its engine: every request in it, because every request came through here.

So nothing is scraped and nothing is stale: the anticipator is fed by what was admitted and what streamed.
Answers that do not stream show no tokens until they end; for those the engine model's pace stands in.
"""

import math
from dataclasses import dataclass

from presage_policies.anticipator import OVERLOAD_LEVEL, Anticipator
from presage_policies.engine import BatchShape, EngineProfile, decode_seconds, prefill_seconds
from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives
from presage_policies.routing import Bid, Candidate, InstanceLoad, has_room, make_bid

from presage_router.guard.reservations import Reservations

FREE_HORIZONS = (64, 256, 1024, 4096)  # iterations; a short request may fit where a long one does not
_PACE_SECONDS = 0.05  # how often the pace of answers that do not stream is brought up to date


@dataclass(slots=True)
class Admitted:
    """One request in the engine; times are monotonic seconds, lengths tokens."""

    key: str
    prompt_tokens: int
    cached_tokens: int
    predicted_tokens: float
    streams: bool
    admitted_at: float
    waited: float
    prefill_seconds: float
    first_token_at: float | None = None
    last_token_at: float | None = None
    generated: int = 0


class Ledger:
    """All requests of one engine, and what follows from them: load, bids, room."""

    def __init__(self, profile: EngineProfile, kv_capacity_tokens: int | None = None) -> None:
        self.profile = profile
        self._anticipator = Anticipator(kv_capacity_tokens or profile.kv_capacity_tokens)
        self._admitted: dict[str, Admitted] = {}
        self._kv_tokens = 0.0
        self._prefilling = 0
        self._token_load = 0.0
        self._decoding = 0
        self._paced_at = 0.0
        self.reservations = Reservations()

    def __len__(self) -> int:
        return len(self._admitted)

    @property
    def kv_capacity_tokens(self) -> int:
        """KV tokens that the engine holds."""
        return self._anticipator.kv_capacity_tokens

    def resize(self, profile: EngineProfile, kv_capacity_tokens: int | None) -> None:
        """Take over another profile or KV capacity; what is in the engine stays accounted for."""
        capacity = kv_capacity_tokens or profile.kv_capacity_tokens
        self.profile = profile
        self._anticipator.kv_capacity_tokens = capacity
        for admitted in self._admitted.values():  # also drops what the anticipator kept for the former size
            self._note(admitted)

    def admit(self, admitted: Admitted) -> None:
        """Enter a request that goes to the engine now."""
        self._admitted[admitted.key] = admitted
        self._prefilling += _work(admitted)
        self._token_load += admitted.prompt_tokens + admitted.predicted_tokens
        self._anticipator.reserve(admitted.key, admitted.prompt_tokens, admitted.predicted_tokens)

    def progress(self, admitted: Admitted, generated: int, now: float) -> None:
        """Note that a request has `generated` tokens by now; the first one ends its prefill."""
        if generated <= admitted.generated:
            return
        if admitted.first_token_at is None:
            admitted.first_token_at = now
            self._prefilling -= _work(admitted)
            self._decoding += 1
            self._kv_tokens += admitted.prompt_tokens
            self._anticipator.start(admitted.key, admitted.prompt_tokens, admitted.predicted_tokens)
        self._kv_tokens += generated - admitted.generated
        admitted.generated = generated
        admitted.last_token_at = now
        self._anticipator.progress(admitted.key, generated)

    def leave(self, admitted: Admitted) -> None:
        """Take out a request that ended, in whatever way."""
        if self._admitted.pop(admitted.key, None) is None:
            return
        if admitted.first_token_at is None:
            self._prefilling -= _work(admitted)
        else:
            self._decoding -= 1
            self._kv_tokens -= admitted.prompt_tokens + admitted.generated
        self._token_load -= admitted.prompt_tokens + admitted.predicted_tokens
        self._anticipator.finish(admitted.key)

    def hold(self, key: str, prompt_tokens: int, predicted_tokens: float, now: float) -> None:
        """Promise room to one request on its way."""
        tokens = prompt_tokens + math.ceil(predicted_tokens)
        self.reservations.hold(key, prompt_tokens, tokens, now)
        self._anticipator.reserve(_held(key), prompt_tokens, predicted_tokens)

    def redeem(self, key: str | None) -> bool:
        """Take up a promise: its room is free for the request that brings it. False when it has lapsed."""
        if key is None or not self.reservations.redeem(key):
            return False
        self._anticipator.finish(_held(key))
        return True

    def expire(self, now: float) -> int:
        """Drop promises that nobody came for; return how many."""
        lapsed = self.reservations.expire(now)
        for key in lapsed:
            self._anticipator.finish(_held(key))
        return len(lapsed)

    def load(self, now: float, *, open_for: bool) -> InstanceLoad:
        """Return the engine's load; `open_for` False = nothing new is wanted here."""
        self._pace(now)
        held = self.reservations
        return InstanceLoad(
            requests=len(self._admitted),
            decoding=self._decoding,
            prefilling_tokens=self._prefilling + held.prompt_tokens,
            kv_tokens=self._kv_tokens,
            token_load=self._token_load + held.tokens,
            kv_capacity_tokens=self.kv_capacity_tokens,
            max_sequences=self.profile.max_sequences,
            reserved=len(held),
            room=open_for,
        )

    def bid(self, candidate: Candidate, now: float, *, open_for: bool) -> Bid:
        """Return what a request would cost here."""
        return make_bid(self.profile, self.load(now, open_for=open_for), self._anticipator, candidate)

    def has_room(self, candidate: Candidate, now: float) -> bool:
        """Tell whether the engine could start the request at once."""
        return has_room(self.profile, self.load(now, open_for=True), self._anticipator, candidate)

    def could_start(self, objectives: Objectives, now: float) -> bool:
        """Tell whether there is room for any request at all, the smallest one."""
        smallest = Candidate(1, LengthDistribution.constant(1), objectives)
        return self.has_room(smallest, now)

    def free_tokens(self) -> list[tuple[int, int]] | None:
        """Return (horizon in iterations, KV tokens free throughout it); None when idle: anything goes."""
        if not self._admitted and not self.reservations:
            return None
        used = self._anticipator.committed()
        size = self.kv_capacity_tokens
        return [(h, max(0, int((OVERLOAD_LEVEL - float(used[:h].max())) * size))) for h in FREE_HORIZONS]

    def prefill_seconds(self, prompt_tokens: int, cached_tokens: int) -> float:
        """Predict the prefill of a request that starts now, behind those that prefill already (seconds)."""
        decoding = BatchShape.decoding(self._decoding, self._kv_tokens)
        work = self._prefilling + prompt_tokens
        return prefill_seconds(self.profile, work, min(cached_tokens, prompt_tokens), decoding)

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache that is in use, by what streamed."""
        return self._kv_tokens / self.kv_capacity_tokens

    def overload(self) -> float:
        """Share of the next 100 iterations in which KV use passes 0.95."""
        return self._anticipator.overload()

    def peak(self) -> float:
        """Largest projected share of the KV cache."""
        return self._anticipator.peak()

    def _pace(self, now: float) -> None:
        """Move answers that do not stream on by the engine model's pace."""
        if now - self._paced_at < _PACE_SECONDS:
            return
        self._paced_at = now
        silent = [a for a in self._admitted.values() if not a.streams]
        if not silent:
            return
        pace = decode_seconds(self.profile, max(1, self._decoding), self._kv_tokens)
        for admitted in silent:
            decoded = now - admitted.admitted_at - admitted.prefill_seconds
            if decoded > 0:
                self.progress(admitted, 1 + int(decoded / pace), now)

    def _note(self, admitted: Admitted) -> None:
        if admitted.first_token_at is None:
            self._anticipator.reserve(admitted.key, admitted.prompt_tokens, admitted.predicted_tokens)
        else:
            self._anticipator.start(admitted.key, admitted.prompt_tokens, admitted.predicted_tokens)
            self._anticipator.progress(admitted.key, admitted.generated)


def _work(admitted: Admitted) -> int:
    return max(1, admitted.prompt_tokens - admitted.cached_tokens)


def _held(key: str) -> str:
    return f"held:{key}"
