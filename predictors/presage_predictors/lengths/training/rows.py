"""Rows to train on: pairs as tensors, in seeded batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from presage_predictors.lengths.names import name_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from presage_predictors.lengths.pairs import Pairs

UNCAPPED = 20.0  # log tokens


@dataclass(frozen=True)
class Rows:
    """Prompt and model by number, log tokens and log caps, all [rows]; and the models' names."""

    prompt: NDArray[np.int64]
    model: NDArray[np.int64]
    log_tokens: torch.Tensor
    log_caps: torch.Tensor
    names: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Pairs) -> Rows:
        """Return all rows of pairs."""
        names, model = np.unique([name_key(str(each)) for each in pairs.models], return_inverse=True)
        caps = np.where(pairs.caps > 0, np.log(np.maximum(pairs.caps, 1)), UNCAPPED)
        return cls(
            pairs.prompt_of,
            model.astype(np.int64),
            torch.tensor(np.log(pairs.response_tokens), dtype=torch.float32),
            torch.tensor(caps, dtype=torch.float32),
            tuple(str(name) for name in names),
        )

    def batches(self, size: int, epochs: float, seed: int) -> Iterator[NDArray[np.int64]]:
        """Yield row numbers, each row `epochs` times, in an order of its own each time."""
        rng = np.random.default_rng(seed)
        left = self.count(size, epochs)
        while left > 0:
            order = rng.permutation(len(self.prompt))
            for begin in range(0, len(order), size):
                if left == 0:
                    return
                yield order[begin : begin + size]
                left -= 1

    def count(self, size: int, epochs: float) -> int:
        """Return how many batches `batches` yields."""
        return max(1, int(epochs * len(self.prompt) / size))
