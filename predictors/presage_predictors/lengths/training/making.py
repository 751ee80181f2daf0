"""Training from pairs to weights: sentence vectors, teacher, student, priors, calibration. One seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from presage_predictors.lengths.split import is_share
from presage_predictors.lengths.training.asked import drawn
from presage_predictors.lengths.training.corpus import Corpus
from presage_predictors.lengths.training.fitting import fitted_sides, scores_of
from presage_predictors.lengths.training.lexical import Lexical
from presage_predictors.lengths.training.process import Views
from presage_predictors.lengths.training.rows import Rows
from presage_predictors.lengths.training.side import Side
from presage_predictors.lengths.training.student import (
    Student,
    Table,
    Texts,
    teach,
    tune,
    word_vectors,
)
from presage_predictors.lengths.training.teachers import taught

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from presage_predictors.lengths.fast.network import Weights
    from presage_predictors.lengths.pairs import Pairs
    from presage_predictors.lengths.sides import Sides
    from presage_predictors.lengths.training.teacher import Teacher

CALIBRATION_SHARE = 0.08  # of the prompts: never trained on, so that coverage is of new prompts
CALIBRATION_ROWS = 20_000
MOST_WORDS_TAKEN = 12_000  # of the encoder's vocabulary, the most common ones

Vectors = Callable[["Sequence[str]"], "NDArray[np.float32]"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """What training makes: the fast tower's weights, its models' side, and the transformer tier's head."""

    weights: Weights
    sides: Sides
    teacher: Teacher
    rows: Rows
    calibration: NDArray[np.int64]  # rows of the pairs, of prompts that nothing was trained on


def make(pairs: Pairs, vectors: Vectors, vocabulary: Sequence[str], seed: int, say: Say) -> Made:
    """Train on pairs. `vectors` gives an encoder's sentence vectors, `vocabulary` its words."""
    held = held_prompts(pairs)
    inside = pairs.taken(np.flatnonzero(~held[pairs.prompt_of]))
    rows = Rows.of(inside)
    used = np.unique(rows.prompt)
    say(f"{len(inside)} pairs of {len(used)} prompts and {len(rows.names)} models")
    corpus = Corpus.of(pairs, used, seed)
    sentence = np.vstack([vectors(corpus.prompts), vectors(corpus.variants)])
    say(f"{len(sentence)} texts read")
    texts = Texts(corpus.readings)
    mean, scale = _standard(texts.signals[used])
    signals = ((texts.signals - mean) * scale).astype(np.float32)
    lexical = Lexical([pairs.prompts[row] for row in used], seed)
    words = lexical.vectors([*corpus.prompts, *corpus.variants])
    views = Views(*map(torch.from_numpy, (sentence, signals[: corpus.taught], words)))
    teachers = taught(rows, len(corpus.prompts), views, seed, say)
    asked = drawn(teachers.readings[corpus.asked_of], teachers.vectors, corpus.readings[corpus.taught :])
    lessons = torch.cat([teachers.readings, asked])
    table = Table(word_vectors(vocabulary, vectors(vocabulary)), texts.attention(used))
    student = Student(texts, table.means(texts), torch.from_numpy(signals))
    shares = _shares(rows, corpus)
    teach(student, lessons, vectors=teachers.vectors, shares=shares, seed=seed)
    say("student taught")
    side = Side.of(teachers.vectors)
    made = torch.arange(len(corpus.prompts), len(lessons))
    tune(student, side, lessons, rows=rows, rehearsed=made, seed=seed)
    student.round_pairs()
    say("student tuned")
    outside = _calibration_rows(pairs, held, rows.names, seed)
    fast = calibrated_sides(rows.names, side.vectors(), student.readings(), pairs, outside)
    weights = student.exported(table, mean, scale)
    return Made(weights, fast, teachers.head, rows, outside)


def held_prompts(pairs: Pairs) -> NDArray[np.bool_]:
    """Return which prompts [prompts] serve calibration only."""
    return np.array([is_share(prompt, "calibration", CALIBRATION_SHARE) for prompt in pairs.prompts])


def _shares(rows: Rows, corpus: Corpus) -> torch.Tensor:
    """Return how often each text is taught: a prompt by the root of its rows, a made text as the mean one."""
    counts = np.bincount(rows.prompt, minlength=len(corpus.readings))
    shares = np.sqrt(counts)
    shares[len(corpus.prompts) :] = shares[counts > 0].mean()
    return torch.tensor(shares, dtype=torch.float32)


def _standard(signals: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return signals.mean(0), (1 / (signals.std(0) + _LEAST_DEVIATION)).astype(np.float32)


_LEAST_DEVIATION = 0.05  # of a signal; a rare one must not shout


def _calibration_rows(
    pairs: Pairs, held: NDArray[np.bool_], names: Sequence[str], seed: int
) -> NDArray[np.int64]:
    known = np.isin(pairs.models, names)
    rows = np.flatnonzero(held[pairs.prompt_of] & known)
    return np.random.default_rng(seed).permutation(rows)[:CALIBRATION_ROWS]


def calibrated_sides(
    names: Sequence[str], vectors: torch.Tensor, readings: torch.Tensor, pairs: Pairs, rows: NDArray[np.int64]
) -> Sides:
    """Return the models' side of vectors [models, SIDE], calibrated on rows by readings of all prompts."""
    of = {name: place for place, name in enumerate(names)}
    models = np.array([of[str(model)] for model in pairs.models[rows]], np.int64)
    table = vectors.numpy().astype(float)
    read_out = readings.numpy().astype(float)[pairs.prompt_of[rows]]
    scores = scores_of(read_out, table[models], np.log(pairs.response_tokens[rows]))
    return fitted_sides(names, table, scores)
