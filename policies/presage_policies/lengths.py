"""Predicted response lengths as distributions, and the protocol that every length predictor speaks.

A point prediction hides what routing and queueing need most: how far the length may reach. So a
prediction is a handful of quantiles, small enough to travel in a header.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import le
from typing import NoReturn, Protocol, Self, runtime_checkable

WIRE_LEVELS: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
OUTLIVED_GROWTH = 0.2  # PreServe's extension of a response that outlives its prediction (arXiv 2504.03702)


@dataclass(frozen=True, slots=True)
class RequestFeatures:
    """All that a predictor may know of a request; the true output length is not among it.

    `response_format` is "" for free text, else what kind of object is asked for; `temperature` None and
    `session` "" mean that the request does not say. `context_tokens` is the most that prompt and response
    may have together, None where the engine does not tell.
    """

    client: str
    model: str
    prompt_tokens: int
    max_tokens: int | None
    prompt: str = ""
    tools: bool = False
    response_format: str = ""
    temperature: float | None = None
    session: str = ""
    context_tokens: int | None = None

    @property
    def cap(self) -> int | None:
        """The most tokens that the response can have; None when nothing is known to bound it.

        A prompt that leaves no room has been sized too large, or the engine will refuse it: no bound then.
        """
        left = (self.context_tokens or 0) - self.prompt_tokens
        if left < 1:
            return self.max_tokens
        return left if self.max_tokens is None else min(left, self.max_tokens)

    @property
    def manner(self) -> str:
        """How the response is to be made, as a key: with tools, in a format, greedily; "" for plain text."""
        if not (self.tools or self.response_format or self.temperature == 0):
            return ""
        greedy = "greedy" if self.temperature == 0 else ""
        tools = "tools" if self.tools else ""
        return "+".join(part for part in (tools, self.response_format, greedy) if part)


@dataclass(frozen=True)
class LengthDistribution:
    """Quantiles of a response's output tokens: `tokens[k]` is the quantile at `levels[k]`.

    Between levels the quantile function is linear, outside them flat. Levels rise strictly within
    (0, 1), tokens never fall and are at least 1. Raises ValueError naming what is wrong. (Form: ours.)
    """

    levels: tuple[float, ...]
    tokens: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.levels or len(self.levels) != len(self.tokens):
            raise ValueError(
                f"a length distribution has {len(self.levels)} levels and {len(self.tokens)} token counts: "
                "give equally many, at least one"
            )
        if self.levels is not WIRE_LEVELS:  # made with every request: what needs no look gets none
            self._check_levels()
        tokens = self.tokens
        if not (all(map(le, tokens, tokens[1:])) and tokens[0] >= 1 and tokens[-1] < math.inf):
            self._refuse_tokens()

    def _check_levels(self) -> None:
        if not all(0 < level < 1 for level in self.levels):
            raise ValueError(f"length levels {self.levels} must lie within 0 and 1")
        if any(b <= a for a, b in pairwise(self.levels)):
            raise ValueError(f"length levels {self.levels} must rise")

    def _refuse_tokens(self) -> NoReturn:
        if all(math.isfinite(t) and t >= 1 for t in self.tokens):
            raise ValueError(f"length quantiles {self.tokens} must not fall")
        raise ValueError(f"length quantiles {self.tokens} must be finite and at least 1 token")

    @classmethod
    def constant(cls, tokens: float) -> Self:
        """Return the distribution of a length that is known (an oracle, or `max_tokens=1`)."""
        return cls((0.5,), (max(1.0, float(tokens)),))

    @classmethod
    def from_samples(cls, samples: Sequence[float], levels: tuple[float, ...] = WIRE_LEVELS) -> Self:
        """Return the empirical quantiles of observed lengths (at least one sample, in tokens)."""
        if not samples:
            raise ValueError("a length distribution needs at least one sample")
        ordered = sorted(max(1.0, float(s)) for s in samples)
        return cls(levels, tuple(_interpolated(ordered, level) for level in levels))

    @cached_property
    def mean(self) -> float:
        """Expected tokens: the integral of the quantile function."""
        total = self.levels[0] * self.tokens[0] + (1 - self.levels[-1]) * self.tokens[-1]
        pairs = list(zip(self.levels, self.tokens, strict=True))
        for (p0, t0), (p1, t1) in pairwise(pairs):
            total += (p1 - p0) * (t0 + t1) / 2
        return total

    @cached_property
    def median(self) -> float:
        """The length that half of such responses reach, in tokens."""
        return self.quantile(0.5)

    def quantile(self, p: float) -> float:
        """Return the length in tokens that a share `p` of such responses does not exceed."""
        k = bisect_left(self.levels, p)
        if k == 0:
            return self.tokens[0]
        if k == len(self.levels):
            return self.tokens[-1]
        p0, p1 = self.levels[k - 1], self.levels[k]
        t0, t1 = self.tokens[k - 1], self.tokens[k]
        return t0 + (t1 - t0) * (p - p0) / (p1 - p0)

    def probability_within(self, tokens: float) -> float:
        """Return the share of such responses that end within `tokens` (1 beyond the last quantile)."""
        if tokens < self.tokens[0]:
            return 0.0
        if tokens >= self.tokens[-1]:
            return 1.0
        k = bisect_right(self.tokens, tokens)  # the first quantile beyond: tokens[k-1] <= tokens < tokens[k]
        t0, t1 = self.tokens[k - 1], self.tokens[k]
        p0, p1 = self.levels[k - 1], self.levels[k]
        return p0 + (p1 - p0) * (tokens - t0) / (t1 - t0)

    def capped(self, max_tokens: int | None) -> "LengthDistribution":
        """Return the distribution cut at the request's `max_tokens` (None: unchanged)."""
        if max_tokens is None or self.tokens[-1] <= max_tokens:
            return self
        ceiling = max(1.0, float(max_tokens))
        return LengthDistribution(self.levels, tuple([min(t, ceiling) for t in self.tokens]))

    def beyond(self, generated: float) -> "LengthDistribution":
        """Return the distribution of the total length, given that `generated` tokens came and more will.

        A response that outlives every quantile is expected to grow by another fifth, again and again
        (PreServe's correction).
        """
        passed = self.probability_within(generated)
        if passed >= 1:
            return LengthDistribution.constant(math.ceil(generated * (1 + OUTLIVED_GROWTH)) + 1)
        floor = generated + 1
        tokens = tuple(max(floor, self.quantile(passed + p * (1 - passed))) for p in self.levels)
        return LengthDistribution(self.levels, tokens)

    def as_wire(self) -> list[float]:
        """Return the quantiles at `WIRE_LEVELS`, rounded to a tenth of a token."""
        return [round(self.quantile(level), 1) for level in WIRE_LEVELS]

    @classmethod
    def from_wire(cls, tokens: Sequence[float]) -> Self:
        """Read what `as_wire` wrote. Raises ValueError when the count or a value is wrong."""
        if len(tokens) != len(WIRE_LEVELS):
            raise ValueError(f"a length has {len(tokens)} quantiles on the wire: send {len(WIRE_LEVELS)}")
        return cls(WIRE_LEVELS, tuple(float(t) for t in tokens))


PRIOR = LengthDistribution(WIRE_LEVELS, (8.0, 16.0, 60.0, 180.0, 400.0, 700.0, 1000.0, 2000.0))
"""A wide guess about chat answers, for when nothing is known. (Ours.)"""


def _interpolated(ordered: Sequence[float], level: float) -> float:
    position = level * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


class LengthPredictor(Protocol):
    """Predicts the length of a response on arrival and learns from the length it turned out to have."""

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the distribution of output tokens, never beyond `features.cap`."""
        ...

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn that the request's whole response had `output_tokens`."""
        ...


@runtime_checkable
class TieredLengthPredictor(LengthPredictor, Protocol):
    """A length predictor that tells whose word its predictions are."""

    def shares(self, features: RequestFeatures) -> Mapping[str, float]:
        """Return how much each tier has to say of such a request, by name; shares sum to 1."""
        ...
