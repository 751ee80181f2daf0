"""Texts made of prompts, for a student to be taught on: parts, mixtures and thinned-out copies.

There are too few prompts to learn from them alone what an encoder makes of words, and a teacher can read
any text. Texts say nothing of lengths by themselves, so no label is made up. (Ours.)
"""

from collections.abc import Sequence

import numpy as np

MOST_WORDS = 60  # of a prompt that a variant is made of
_MIXED, _PART = 0.45, 0.8  # cumulative shares; the rest is thinned out
_LONGEST_PART = 40
_KEPT = 0.75  # of the words of a copy that is thinned out


def variants(prompts: Sequence[str], count: int, seed: int) -> list[str]:
    """Return so many texts made of these prompts (at least one with a word)."""
    rng = np.random.default_rng(seed)
    split = [
        words for words in (prompt[: 12 * MOST_WORDS].split()[:MOST_WORDS] for prompt in prompts) if words
    ]
    made: list[str] = []
    while len(made) < count:
        words = split[rng.integers(len(split))]
        kind = rng.random()
        if kind < _MIXED:
            other = split[rng.integers(len(split))]
            text = words[: rng.integers(1, len(words) + 1)] + other[rng.integers(len(other)) :]
        elif kind < _PART:
            begin = rng.integers(len(words))
            text = words[begin : begin + rng.integers(2, _LONGEST_PART)]
        else:
            text = [word for word in words if rng.random() < _KEPT]
        if text:
            made.append(" ".join(text))
    return made
