"""Several teachers as one: their medians averaged, and the average brought to the form of a law.

With few prompts, what one training finds depends on chance; members that see prompts in different ways err
in different places. The average of low-rank matrices (texts by models) has a low rank too, and its leading
`RANK` axes are kept, so that a student can learn it as readings and vectors. (Bagging, Breiman 1996, with
members of different kind; the truncation is ours.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from presage_predictors.lengths.law import BASE, RANK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Medians:
    """A member's median log tokens: `level[model] + readings[text]·vectors[model]`."""

    level: Array  # [models]
    readings: Array  # [texts, width]
    vectors: Array  # [models, width]


def medians_of(readings: Tensor, vectors: Tensor) -> Medians:
    """Return the medians of laws: readings [texts, READING] and vectors [models, SIDE]."""
    read, sides = readings.numpy().astype(float), vectors.numpy().astype(float)
    sides = np.column_stack([np.ones(len(sides)), sides[:, 1:RANK]])
    return Medians(BASE + vectors.numpy().astype(float)[:, 0], read[:, :RANK], sides)


def averaged(members: Sequence[tuple[Medians, float]], texts: Array, models: Array) -> tuple[Array, Array]:
    """Return the weighted average as readings [texts, RANK] and vectors [models, RANK].

    `texts` and `models` are the shares by which errors of the truncation count. The first reading moves all
    models alike; the others have, by shares, mean 0 and variance 1.
    """
    whole = sum(weight for _, weight in members)
    level = sum(weight / whole * member.level for member, weight in members)
    readings = np.hstack([member.readings for member, _ in members])
    vectors = np.hstack([weight / whole * member.vectors for member, weight in members])
    middle = texts @ readings / texts.sum()
    centred = readings - middle
    level = level + vectors @ middle
    important = np.sqrt(models)[:, None] * vectors
    covariance = centred.T @ (texts[:, None] * centred) / texts.sum()
    sizes, axes = np.linalg.eigh(important @ covariance @ important.T)
    axes = axes[:, ::-1][:, : RANK - 1]
    unit = np.sqrt(np.maximum(sizes[::-1][: RANK - 1], _LEAST))
    kept = centred @ (important.T @ axes) / unit
    made = axes * unit / np.sqrt(models)[:, None]
    common = models @ made / models.sum()
    return np.column_stack([kept @ common, kept]), np.column_stack([level - BASE, made - common])


_LEAST = 1e-8  # variance of an axis that no text moves along


def joined(readings: Array, vectors: Array, laws: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return laws with these medians: spread and shape are the mean of laws' readings and vectors."""
    read = torch.stack([law[0] for law in laws]).mean(0)
    sides = torch.stack([law[1] for law in laws]).mean(0)
    read[:, :RANK] = torch.tensor(readings, dtype=torch.float32)
    sides[:, :RANK] = torch.tensor(vectors, dtype=torch.float32)
    return read, sides
