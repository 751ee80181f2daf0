"""Texts made of prompts, for a student to be taught on: parts, mixtures and thinned-out copies.

There are too few prompts to learn from them alone what an encoder makes of words, and a teacher can read
any text. Texts say nothing of lengths by themselves, so no label is made up. One kind is different: prompts
that are told how long an answer is wanted, of which training has too few. (Ours.)
"""

from collections.abc import Sequence

import numpy as np

MOST_WORDS = 60  # of a prompt that a variant is made of
_MIXED, _PART = 0.45, 0.8  # cumulative shares; the rest is thinned out
_LONGEST_PART = 40
_KEPT = 0.75  # of the words of a copy that is thinned out
_ASKING = (
    "{text} In {count} {unit}.",
    "{text} Write {count} {unit}.",
    "In {count} {unit}: {text}",
    "Write {count} {unit}. {text}",
    "{text} The answer should have about {count} {unit}.",
    "Write an essay of {count} {unit} on: {text}",
)
_WANTED = {"words": (20, 4000), "sentences": (2, 15), "paragraphs": (2, 12), "pages": (2, 6)}  # least, most
_IN_WORDS = 0.6  # share of those that count words


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


def asking(prompts: Sequence[str], count: int, seed: int) -> list[tuple[int, str]]:
    """Return so many prompts that ask for a length, each with the number of the prompt it was made of.

    Lengths are drawn evenly in logs; they stand before or behind what the prompt says.
    """
    rng = np.random.default_rng(seed)
    short = [(place, " ".join(prompt.split()[:MOST_WORDS])) for place, prompt in enumerate(prompts)]
    units = list(_WANTED)
    shares = [_IN_WORDS, *[(1 - _IN_WORDS) / (len(units) - 1)] * (len(units) - 1)]
    made = []
    for _ in range(count):
        place, text = short[rng.integers(len(short))]
        unit = units[rng.choice(len(units), p=shares)]
        least, most = _WANTED[unit]
        wanted = round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
        made.append((place, _ASKING[rng.integers(len(_ASKING))].format(text=text, count=wanted, unit=unit)))
    return made
