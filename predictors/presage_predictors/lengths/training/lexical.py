"""Which words a prompt has: what sentence vectors blur, for the teachers that look at words themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COMPONENTS = 120
MOST_TERMS = 40_000
LEAST_PROMPTS = 3  # that have a term
_CHARACTERS = 3000  # read of a prompt
_LEAST_LENGTH = 1e-6


class Lexical:
    """TF-IDF of words and word pairs in `COMPONENTS` components, learnt from prompts."""

    def __init__(self, prompts: Sequence[str], seed: int) -> None:
        self._terms = TfidfVectorizer(
            sublinear_tf=True, min_df=LEAST_PROMPTS, ngram_range=(1, 2), max_features=MOST_TERMS
        )
        found = self._terms.fit_transform(_cut(prompts))
        self._components = TruncatedSVD(min(COMPONENTS, found.shape[1]), random_state=seed).fit(found)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors [texts, components], each of length 1 (0 where no term is known)."""
        made = self._components.transform(self._terms.transform(_cut(texts)))
        lengths = np.maximum(np.linalg.norm(made, axis=1, keepdims=True), _LEAST_LENGTH)
        return np.asarray(made / lengths, np.float32)


def _cut(texts: Sequence[str]) -> list[str]:
    return [text[:_CHARACTERS] for text in texts]
