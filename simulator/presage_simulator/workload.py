"""What is simulated: requests as columns, so that millions of them stay small and quick to read.

`output_tokens` is the engines' secret. The simulator hands it to the engines' own code and, when a
response has ended, to the length source; no policy is ever given a workload.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from presage_policies.objectives import Objectives

Floats = NDArray[np.float64]
Shorts = NDArray[np.int16]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SLOClass:
    """What requests of one kind are promised; `deadline_seconds` for the whole response, None = none."""

    name: str
    objectives: Objectives
    deadline_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.deadline_seconds is not None and not self.deadline_seconds > 0:
            raise ValueError(
                f"class {self.name!r}: deadline_seconds is {self.deadline_seconds!r}: give more than 0"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PrefixBlocks:
    """The leading blocks of every prompt as ids: an equal id means equal text from the very beginning.

    Request r has `ids[offsets[r]:offsets[r + 1]]`, each of `block_tokens` tokens; ids are dense from 0.
    Raises ValueError when the offsets do not fit the ids.
    """

    ids: Ints
    offsets: Longs  # shape [requests + 1]
    block_tokens: int

    def __post_init__(self) -> None:
        if self.block_tokens < 1:
            raise ValueError(f"prefix.block_tokens is {self.block_tokens}: give at least 1")
        if len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.ids):
            raise ValueError(f"prefix.offsets must run from 0 to {len(self.ids)}, the number of ids")
        if np.any(np.diff(self.offsets) < 0):
            raise ValueError("prefix.offsets must not fall")
        if len(self.ids) and self.ids.min() < 0:
            raise ValueError(f"prefix.ids has {self.ids.min()}: ids begin at 0")

    @property
    def distinct(self) -> int:
        """How many ids there may be: one more than the largest."""
        return int(self.ids.max()) + 1 if len(self.ids) else 0

    def part(self, first: int, last: int) -> "PrefixBlocks":
        """Return the blocks of requests `first` to `last` (exclusive)."""
        begin, end = self.offsets[first], self.offsets[last]
        return PrefixBlocks(self.ids[begin:end], self.offsets[first : last + 1] - begin, self.block_tokens)


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Requests in order of time. Raises ValueError naming the column that is wrong.

    `klass` indexes `classes`. Lengths are whole tokens of at least 1, times are seconds from 0.
    """

    at: Floats  # shape [requests], s
    prompt_tokens: Ints  # shape [requests]
    output_tokens: Ints  # shape [requests]
    klass: Shorts  # shape [requests]
    client: Ints  # shape [requests]
    classes: tuple[SLOClass, ...]
    prefix: PrefixBlocks | None = None

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "output_tokens", "klass", "client"):
            column = getattr(self, name)
            if column.shape != self.at.shape:
                raise ValueError(
                    f"{name} has shape {column.shape} and at {self.at.shape}: give one a request"
                )
        if self.prefix is not None and len(self.prefix.offsets) != len(self.at) + 1:
            raise ValueError(
                f"prefix.offsets has {len(self.prefix.offsets)} entries: give {len(self.at) + 1}, "
                "one more than requests"
            )
        if len(self.at) == 0:
            return
        if not np.all(np.isfinite(self.at)) or self.at[0] < 0 or np.any(np.diff(self.at) < 0):
            raise ValueError(
                "at must be finite, begin at 0 or later and never fall: sort the requests by time"
            )
        for name in ("prompt_tokens", "output_tokens"):
            least = getattr(self, name).min()
            if least < 1:
                raise ValueError(f"{name} has {least}: every request has at least 1")
        if self.klass.min() < 0 or self.klass.max() >= len(self.classes):
            raise ValueError(f"klass has {self.klass.max()}: there are {len(self.classes)} classes, from 0")

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(
        cls,
        at: Sequence[float] | Floats,
        prompt_tokens: Sequence[int] | Ints,
        output_tokens: Sequence[int] | Ints,
        objectives: Objectives,
    ) -> Self:
        """Build a workload of one class and one client."""
        times = np.asarray(at, dtype=np.float64)
        return cls(
            times,
            np.asarray(prompt_tokens, dtype=np.int32),
            np.asarray(output_tokens, dtype=np.int32),
            np.zeros(len(times), dtype=np.int16),
            np.zeros(len(times), dtype=np.int32),
            (SLOClass("default", objectives),),
        )

    def part(self, first: int, last: int) -> "Workload":
        """Return requests `first` to `last` (exclusive), times unchanged."""
        return Workload(
            self.at[first:last],
            self.prompt_tokens[first:last],
            self.output_tokens[first:last],
            self.klass[first:last],
            self.client[first:last],
            self.classes,
            None if self.prefix is None else self.prefix.part(first, last),
        )
