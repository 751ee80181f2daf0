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
TOGETHER = 8  # rows of one prompt that stand together in a batch: a tower reads it once for them
ABUNDANCE = 0.3  # a row counts as its prompt's number of rows to the power of minus this


@dataclass(frozen=True)
class Rows:
    """Prompt and model by number, log tokens, log caps and weights, all [rows]; and the models' names."""

    prompt: NDArray[np.int64]
    model: NDArray[np.int64]
    log_tokens: torch.Tensor
    log_caps: torch.Tensor
    weights: torch.Tensor
    names: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Pairs) -> Rows:
        """Return all rows of pairs."""
        names, model = np.unique([name_key(str(each)) for each in pairs.models], return_inverse=True)
        caps = np.where(pairs.caps > 0, np.log(np.maximum(pairs.caps, 1)), UNCAPPED)
        abundance = np.bincount(pairs.prompt_of)[pairs.prompt_of].astype(float)
        return cls(
            pairs.prompt_of,
            model.astype(np.int64),
            torch.tensor(np.log(pairs.response_tokens), dtype=torch.float32),
            torch.tensor(caps, dtype=torch.float32),
            torch.tensor(abundance**-ABUNDANCE, dtype=torch.float32),
            tuple(str(name) for name in names),
        )

    def targets(self, picked: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what a loss wants of some rows: log tokens, log caps and weights."""
        return self.log_tokens[picked], self.log_caps[picked], self.weights[picked]

    def batches(self, size: int, epochs: float, seed: int) -> Iterator[NDArray[np.int64]]:
        """Yield row numbers, each row `epochs` times, in an order of its own each time."""
        rng = np.random.default_rng(seed)
        left = self.count(size, epochs)
        while left > 0:
            order = self._grouped(rng)
            for begin in range(0, len(order), size):
                if left == 0:
                    return
                yield order[begin : begin + size]
                left -= 1

    def _grouped(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the rows in groups of at most `TOGETHER` of one prompt, drawn and ordered by chance."""
        order = rng.permutation(len(self.prompt))
        order = order[np.argsort(self.prompt[order], kind="stable")]
        prompt = self.prompt[order]
        within = np.arange(len(order)) - np.searchsorted(prompt, prompt)
        group = np.cumsum(within % TOGETHER == 0) - 1
        place = rng.permutation(group[-1] + 1)[group]
        return order[np.argsort(place, kind="stable")]

    def count(self, size: int, epochs: float) -> int:
        """Return how many batches `batches` yields."""
        return max(1, int(epochs * len(self.prompt) / size))
