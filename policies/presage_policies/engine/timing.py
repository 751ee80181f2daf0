"""How fast a GPU is: the iteration-time model of a continuous-batching engine.

Operator, router, simulator and emulated engine all time engines with this one module, so that a
decision and the world that it is tried in can only disagree where measurements do. The scheduler that
forms the iterations is in `batch`, what an instance sustains is in `sustained`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class IterationCoefficients:
    """Seconds of one iteration: t = c0 + c1·T + c2·B + c3·Σkv + c4·Σ chunk·(kv + chunk/2).

    T = tokens computed, B = sequences in the batch, Σkv = context tokens read by decoding sequences, the
    last sum runs over prefill chunks (chunk tokens after kv tokens of context). c2 may be negative: a token
    that is decoded hides behind the reading of the weights, a prefilled one does not. (Form: ours, linear
    so that unchanged steps collapse into a closed form.)
    """

    fixed: float
    per_token: float
    per_sequence: float
    per_kv_token: float
    per_prefill_attention: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or (value < 0 and field.name != "per_sequence"):
                raise ValueError(f"coefficients.{field.name} is {value!r}: give seconds, zero or more")
        if self.fixed <= 0:
            raise ValueError("coefficients.fixed is 0: an iteration takes time even when it is small")
        if self.per_token + self.per_sequence < 0:
            raise ValueError(
                f"coefficients.per_sequence is {self.per_sequence!r}: with per_token {self.per_token!r} a "
                "decoded token would take less than no time"
            )


@dataclass(frozen=True, slots=True)
class BatchShape:
    """What one iteration computes, in the terms of the time model (tokens, sequences, tokens, tokens²)."""

    tokens: float = 0
    sequences: float = 0
    kv_tokens: float = 0
    prefill_attention: float = 0

    EMPTY: ClassVar["BatchShape"]

    def plus(self, other: "BatchShape") -> "BatchShape":
        """Return the shape of both computed in one iteration."""
        return BatchShape(
            self.tokens + other.tokens,
            self.sequences + other.sequences,
            self.kv_tokens + other.kv_tokens,
            self.prefill_attention + other.prefill_attention,
        )

    @staticmethod
    def decoding(sequences: float, kv_tokens: float) -> "BatchShape":
        """Return the shape of `sequences` that each decode one token over `kv_tokens` of context in all."""
        return BatchShape(sequences, sequences, kv_tokens, 0)

    @staticmethod
    def prefill(chunk: float, context: float = 0) -> "BatchShape":
        """Return the shape of one prefill chunk after `context` tokens that are already computed."""
        return BatchShape(chunk, 1, 0, chunk * (context + chunk / 2))


BatchShape.EMPTY = BatchShape()


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """One engine on one kind of GPU: its speed and its limits; `source` and `fit_error` say how known.

    `token_budget` is also the size of a prefill chunk; a preempted sequence computes everything again.
    `tensor_parallel` and the host's seconds, of each iteration and for each sequence in it, are told for the
    reader: the coefficients contain them and the all-reduce.
    """

    name: str
    coefficients: IterationCoefficients
    kv_capacity_tokens: int
    block_tokens: int = 16
    max_sequences: int = 256
    token_budget: int = 2048
    tensor_parallel: int = 1
    host_seconds: float = 0.0
    host_seconds_per_sequence: float = 0.0
    source: str = ""
    fit_error: str = ""

    def __post_init__(self) -> None:
        for field in (
            "kv_capacity_tokens",
            "block_tokens",
            "max_sequences",
            "token_budget",
            "tensor_parallel",
        ):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f"profile {self.name!r}: {field} is {value!r}: give a whole number of 1 or more"
                )
        if self.kv_capacity_tokens < self.block_tokens:
            raise ValueError(
                f"profile {self.name!r}: kv_capacity_tokens is {self.kv_capacity_tokens}, less than one "
                f"block of {self.block_tokens} tokens"
            )

    @property
    def kv_blocks(self) -> int:
        """Whole blocks in the KV cache."""
        return self.kv_capacity_tokens // self.block_tokens

    def blocks_for(self, tokens: int) -> int:
        """Return the blocks that hold `tokens` tokens."""
        return -(-tokens // self.block_tokens)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, where: str = "profile") -> Self:
        """Build a profile from parsed YAML. Raises ValueError naming the key, the value and the fix."""
        known = {field.name for field in fields(cls)}
        _reject_unknown(mapping, known, where)
        _require(mapping, ("name", "coefficients", "kv_capacity_tokens"), where)
        coefficients = _coefficients(mapping["coefficients"], f"{where}.coefficients")
        rest = {key: value for key, value in mapping.items() if key != "coefficients"}
        return cls(coefficients=coefficients, **rest)


def _coefficients(raw: Any, where: str) -> IterationCoefficients:
    names = tuple(field.name for field in fields(IterationCoefficients))
    if not isinstance(raw, Mapping):
        raise ValueError(f"{where} is {raw!r}: give a mapping with the keys {', '.join(names)}")  # noqa: TRY004 - a bad file, not a bad program
    _reject_unknown(raw, set(names), where)
    _require(raw, names, where)
    for name in names:
        if not isinstance(raw[name], int | float) or isinstance(raw[name], bool):
            raise ValueError(  # noqa: TRY004 - a bad file, not a bad program
                f"{where}.{name} is {raw[name]!r}: give seconds as a number (YAML wants 1.0e-6, not 1e-6)"
            )
    return IterationCoefficients(**{name: float(raw[name]) for name in names})


def _reject_unknown(mapping: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(str(key) for key in mapping if key not in known)
    if unknown:
        raise ValueError(f"{where} has the unknown key {unknown[0]!r}: known are {', '.join(sorted(known))}")


def _require(mapping: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for name in names:
        if name not in mapping:
            raise ValueError(f"{where}.{name} is missing: add it")


def iteration_seconds(profile: EngineProfile, shape: BatchShape) -> float:
    """Return how long one iteration of that shape takes (seconds); an empty one takes none."""
    if shape.tokens <= 0:
        return 0.0
    c = profile.coefficients
    return (
        c.fixed
        + c.per_token * shape.tokens
        + c.per_sequence * shape.sequences
        + c.per_kv_token * shape.kv_tokens
        + c.per_prefill_attention * shape.prefill_attention
    )


def prefill_seconds(
    profile: EngineProfile,
    prompt_tokens: int,
    cached_tokens: int = 0,
    shape: BatchShape = BatchShape.EMPTY,
) -> float:
    """Return the time from a prompt's first chunk to its first token, seconds.

    `shape` is what else runs in each of its iterations (the decoding sequences, which take their tokens
    of the budget first). At least the last prompt token is computed, however much is cached.
    """
    cached = max(0, min(cached_tokens, prompt_tokens - 1))
    room = max(1, profile.token_budget - math.ceil(shape.tokens))
    work = max(1, prompt_tokens - cached)
    chunks = math.ceil(work / room)
    attention = work * (cached + work / 2)
    whole = BatchShape(work, chunks, 0, attention)
    c = profile.coefficients
    beside = iteration_seconds(profile, shape) if shape.tokens > 0 else c.fixed
    return iteration_seconds(profile, whole) - c.fixed + chunks * beside


def decode_seconds(profile: EngineProfile, sequences: float, kv_tokens: float) -> float:
    """Return how long one decode iteration of `sequences` over `kv_tokens` of context takes, seconds."""
    return iteration_seconds(profile, BatchShape(sequences, sequences, kv_tokens, 0))
