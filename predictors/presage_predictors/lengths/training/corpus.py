"""All texts of a training, numbered: prompts, variants of them, and prompts that ask for a length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from presage_policies.lengths import RequestFeatures

from presage_predictors.lengths.text import read
from presage_predictors.lengths.training.variants import asking, variants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from presage_predictors.lengths.pairs import Pairs
    from presage_predictors.lengths.text import Reading

VARIANTS = 8_000
ASKING = 3_000


@dataclass(frozen=True)
class Corpus:
    """What is read in training, in this order: prompts, variants, prompts that ask for a length.

    `asked_of` [asking texts] are the numbers of the prompts that those were made of.
    """

    prompts: Sequence[str]
    variants: Sequence[str]
    asked_of: NDArray[np.int64]
    readings: Sequence[Reading]

    @classmethod
    def of(cls, pairs: Pairs, used: NDArray[np.int64], seed: int) -> Corpus:
        """Read all prompts of pairs, and texts made of the prompts `used`."""
        tokens = np.zeros(len(pairs.prompts), np.int64)
        tokens[pairs.prompt_of] = pairs.prompt_tokens
        prompts = [pairs.prompts[row] for row in used]
        per_character = tokens[used].sum() / max(1, sum(map(len, prompts)))
        varied = variants(prompts, VARIANTS, seed)
        asked = asking(prompts, ASKING, seed)
        made = [*varied, *(text for _, text in asked)]
        counts = [*tokens, *(max(1, round(len(text) * per_character)) for text in made)]
        readings = [
            read(RequestFeatures("", "", int(count), None, text))
            for text, count in zip([*pairs.prompts, *made], counts, strict=True)
        ]
        return cls(pairs.prompts, varied, used[[place for place, _ in asked]], readings)

    @property
    def taught(self) -> int:
        """Return how many texts a teacher reads: all but those that ask for a length."""
        return len(self.prompts) + len(self.variants)
