"""A length asked for, as a prior: how far a median is drawn towards it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from presage_predictors.lengths.law import BASE, RANK
from presage_predictors.lengths.text import LOG_TOKENS_ASKED, SIGNALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from presage_predictors.lengths.text import Reading

# Half the way in logs. Of the few prompts that training has, models went the whole way for 300 words and
# a third of it for an essay of 2,000: a prior, not a fit.
PULL = 0.5
_ASKED = SIGNALS.index("tokens asked")


def drawn(readings: Tensor, vectors: Tensor, asking: Sequence[Reading]) -> Tensor:
    """Return readings [texts, READING] of prompts, drawn to the lengths that the texts `asking` ask for.

    `vectors` [models, SIDE] are those that the readings belong to.
    """
    asked = torch.tensor([float(text.signals[_ASKED]) + LOG_TOKENS_ASKED for text in asking])
    made = readings.clone()
    made[:, :RANK] *= 1 - PULL
    made[:, 0] += PULL * (asked - BASE - vectors[:, 0].mean())
    return made
