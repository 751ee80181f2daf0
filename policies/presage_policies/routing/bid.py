"""What an instance bids for a request: the seconds that it would cost there, to itself and to others.

PreServe's router weighs current and anticipated load together, but its formula is not known to us; this
one is ours. Everything is in seconds, so that a prefix hit, a slower GPU, a fuller batch and a missed
objective are weighed against each other without tuned weights. The simulator compiles `bid_beside` and all
that it calls, so these functions keep to scalars and arrays.
"""

from dataclasses import dataclass
from typing import Any, Self

from presage_policies.anticipator import OVERLOAD_LEVEL, Anticipator
from presage_policies.engine import (
    BatchShape,
    EngineProfile,
    decode_seconds,
    iteration_seconds,
    prefill_seconds,
)
from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives
from presage_policies.ramps import Floats, ramp_iterations, token_iterations

PREFILL_ITERATIONS = (
    2  # one that runs and one that forms next: less would let the engine run half-filled batches
)
LATENESS_WEIGHT = 4.0  # a second beyond an objective weighs as much as so many within it (ours)


@dataclass(frozen=True, slots=True)
class InstanceLoad:
    """What a guard knows of its own engine.

    `requests` = all accepted and unfinished (decoding, prefilling, waiting in the engine); `decoding` of
    them have their first token; `waiting` are held back by the engine itself; `reserved` are promised
    and have not arrived. `prefilling_tokens` = prompt tokens accepted and not computed; `kv_tokens` = KV
    held; `token_load` = prompt and expected output tokens in flight; `projected_peak` = the anticipator's.
    `room` False = the guard wants nothing new (draining, engine down).
    """

    requests: int
    decoding: int
    prefilling_tokens: int
    kv_tokens: float
    token_load: float
    kv_capacity_tokens: int
    max_sequences: int
    projected_peak: float = 0.0
    waiting: int = 0
    reserved: int = 0
    room: bool = True
    waiting_kv_tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """The request to be placed; `cached_tokens` of its prompt are expected in the prefix cache there."""

    prompt_tokens: int
    length: LengthDistribution
    objectives: Objectives
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Bid:
    """An instance's answer: what the request would cost there, and what simpler policies look at.

    `cost_seconds` sums the request's own expected end-to-end time, the delay that it adds to those
    already there, recomputation where KV would overflow, and lateness. `room` = the engine could start
    it at once. `waiting` = requests that the engine holds back, `waiting_kv` what they will take and
    `kv_usage` what is taken, as shares of the KV cache.
    """

    cost_seconds: float
    ttft_seconds: float
    tpot_seconds: float
    added_delay_seconds: float
    room: bool
    requests: int
    token_load: float
    cached_tokens: int
    waiting: int = 0
    kv_usage: float = 0.0
    waiting_kv: float = 0.0

    def as_wire(self) -> dict[str, Any]:
        """Return the bid as a JSON object."""
        return {
            "cost_seconds": self.cost_seconds,
            "ttft_seconds": self.ttft_seconds,
            "tpot_seconds": self.tpot_seconds,
            "added_delay_seconds": self.added_delay_seconds,
            "room": self.room,
            "requests": self.requests,
            "token_load": self.token_load,
            "cached_tokens": self.cached_tokens,
            "waiting": self.waiting,
            "kv_usage": self.kv_usage,
            "waiting_kv": self.waiting_kv,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read what `as_wire` wrote. Raises ValueError when a field is missing or is no number."""
        try:
            return cls(
                cost_seconds=float(wire["cost_seconds"]),
                ttft_seconds=float(wire["ttft_seconds"]),
                tpot_seconds=float(wire["tpot_seconds"]),
                added_delay_seconds=float(wire["added_delay_seconds"]),
                room=bool(wire["room"]),
                requests=int(wire["requests"]),
                token_load=float(wire["token_load"]),
                cached_tokens=int(wire["cached_tokens"]),
                waiting=int(wire.get("waiting", 0)),
                kv_usage=float(wire.get("kv_usage", 0.0)),
                waiting_kv=float(wire.get("waiting_kv", 0.0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a bid's field is missing or wrong: {error!r}") from error


def has_room(
    profile: EngineProfile, load: InstanceLoad, anticipator: Anticipator, candidate: Candidate
) -> bool:
    """Tell whether the engine could start the request at once and hold it to its expected end.

    An idle instance always has room, so that a request too large for any is decided by an engine and
    never waits for ever.
    """
    if idle(load) or not startable(profile, load):
        return idle(load) and load.room
    life = expected_life(candidate.length.mean, anticipator.slots)
    return anticipator.peak_with(candidate.prompt_tokens, life) <= OVERLOAD_LEVEL


def make_bid(
    profile: EngineProfile, load: InstanceLoad, anticipator: Anticipator, candidate: Candidate
) -> Bid:
    """Predict what the request would cost on this instance (seconds throughout)."""
    life = expected_life(candidate.length.mean, anticipator.slots)
    decoding = anticipator.decoding()
    peak = anticipator.peak_with(candidate.prompt_tokens, life)
    return bid_beside(profile, load, decoding.now, decoding.left, peak, life, candidate)


def bid_beside(  # noqa: PLR0917 - compiled too, where arguments have places only
    profile: EngineProfile,
    load: InstanceLoad,
    now: Floats,
    left: Floats,
    peak: float,
    life: int,
    candidate: Candidate,
) -> Bid:
    """Predict the cost beside decoding ramps (`now` tokens held, `left` iterations) and a peak of KV.

    The arithmetic of `make_bid`, which the simulator compiles; `life` = iterations that the request decodes.
    """
    decoding = BatchShape(load.decoding, load.decoding, load.kv_tokens, 0)
    cached = max(0, min(candidate.cached_tokens, candidate.prompt_tokens - 1))
    own_prefill = prefill_seconds(profile, candidate.prompt_tokens, cached, decoding)
    ttft = _first_token_seconds(profile, load, decoding, candidate.prompt_tokens - cached, own_prefill)
    # Over its life, the requests that decode now and those still prefilling are beside it.
    shared_steps = ramp_iterations(left, life) + (load.requests - load.decoding) * life
    own_kv = candidate.prompt_tokens + life / 2  # on average over its life
    kv = token_iterations(now, left, life) / life + load.prefilling_tokens + own_kv
    tpot = decode_seconds(profile, shared_steps / life + 1, kv)
    delay = _added_delay(profile, load, own_prefill, own_kv, shared_steps)
    overflow = _recompute_seconds(profile, load, peak)
    steps = candidate.length.mean - 1
    late = max(0.0, ttft - candidate.objectives.ttft_seconds)
    late += steps * max(0.0, tpot - candidate.objectives.tpot_seconds)
    return Bid(
        ttft + steps * tpot + delay + overflow + LATENESS_WEIGHT * late,
        ttft,
        tpot,
        delay,
        load.room and (idle(load) or (startable(profile, load) and peak <= OVERLOAD_LEVEL)),
        load.requests + load.reserved,
        load.token_load,
        cached,
        load.waiting,
        load.kv_tokens / load.kv_capacity_tokens,
        load.waiting_kv_tokens / load.kv_capacity_tokens,
    )


def idle(load: InstanceLoad) -> bool:
    """Tell whether nothing is there and nothing is promised."""
    return load.requests == 0 and load.reserved == 0


def startable(profile: EngineProfile, load: InstanceLoad) -> bool:
    """Tell whether the engine could start one more, as far as counts can tell; KV may still be short."""
    if not load.room or load.waiting > 0 or load.requests + load.reserved >= load.max_sequences:
        return False
    return load.prefilling_tokens < PREFILL_ITERATIONS * profile.token_budget


def expected_life(mean_tokens: float, slots: int) -> int:
    """Return the iterations that a request is expected to decode, as far as the anticipator looks."""
    return max(1, min(slots, round(mean_tokens)))


def _first_token_seconds(
    profile: EngineProfile, load: InstanceLoad, decoding: BatchShape, work: int, own_prefill: float
) -> float:
    """Half of the running iteration, then the prompts ahead, then the own one (all share each budget)."""
    running = iteration_seconds(profile, decoding) / 2
    if load.prefilling_tokens == 0:
        return running + own_prefill
    return running + prefill_seconds(profile, load.prefilling_tokens + work, 0, decoding)


def _added_delay(
    profile: EngineProfile, load: InstanceLoad, own_prefill: float, own_kv: float, shared_steps: float
) -> float:
    """Seconds that all others lose together: its prefill once each, its share of every step they share."""
    c = profile.coefficients
    beside = c.fixed if load.decoding == 0 else decode_seconds(profile, load.decoding, load.kv_tokens)
    interruption = max(0.0, own_prefill - beside)
    share = c.per_token + c.per_sequence + c.per_kv_token * own_kv
    return interruption * load.requests + share * shared_steps


def _recompute_seconds(profile: EngineProfile, load: InstanceLoad, peak: float) -> float:
    """Prefill again for whatever would be preempted: the tokens by which KV would overflow."""
    overflow = (peak - 1) * load.kv_capacity_tokens
    return prefill_seconds(profile, round(overflow), 0, BatchShape(0, 0, 0, 0)) if overflow >= 1 else 0.0
