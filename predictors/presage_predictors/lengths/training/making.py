"""Training from pairs to weights: sentence vectors, teacher, student, priors, calibration. One seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from presage_policies.lengths import RequestFeatures

from presage_predictors.lengths.split import is_share
from presage_predictors.lengths.text import read
from presage_predictors.lengths.training.fitting import fitted_sides, scores_of
from presage_predictors.lengths.training.rows import Rows
from presage_predictors.lengths.training.student import (
    Student,
    Table,
    Texts,
    teach,
    tune,
    word_vectors,
)
from presage_predictors.lengths.training.teacher import Teacher, train_teacher
from presage_predictors.lengths.training.variants import variants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from presage_predictors.lengths.fast.network import Weights
    from presage_predictors.lengths.pairs import Pairs
    from presage_predictors.lengths.sides import Sides

CALIBRATION_SHARE = 0.08  # of the prompts: never trained on, so that coverage is of new prompts
CALIBRATION_ROWS = 20_000
VARIANTS = 8_000
MOST_WORDS_TAKEN = 12_000  # of the encoder's vocabulary, the most common ones

Vectors = Callable[["Sequence[str]"], "NDArray[np.float32]"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """What training makes: the fast tower's weights, its models' side, and the teacher."""

    weights: Weights
    sides: Sides
    teacher: Teacher
    teacher_vectors: torch.Tensor  # [models, SIDE], before the student's tuning moved them
    rows: Rows
    calibration: NDArray[np.int64]  # rows of the pairs, of prompts that nothing was trained on


def make(pairs: Pairs, vectors: Vectors, vocabulary: Sequence[str], seed: int, say: Say) -> Made:
    """Train on pairs. `vectors` gives an encoder's sentence vectors, `vocabulary` its words."""
    held = np.array([is_share(prompt, "calibration", CALIBRATION_SHARE) for prompt in pairs.prompts])
    inside = pairs.taken(np.flatnonzero(~held[pairs.prompt_of]))
    rows = Rows.of(inside)
    used = np.unique(rows.prompt)
    say(f"{len(inside)} pairs of {len(used)} prompts and {len(rows.names)} models")
    prompt_vectors = vectors(pairs.prompts)
    texts, taught_rows = _texts(pairs, used, seed)
    extra = vectors(texts[1])
    say(f"{len(texts[1])} variants read")
    all_texts = Texts([read(each) for each in texts[0]])
    mean, scale = _standard(all_texts.signals[used])
    signals = ((all_texts.signals - mean) * scale).astype(np.float32)
    teacher = train_teacher(rows, prompt_vectors, signals[: len(pairs.prompts)], seed)
    say("teacher trained")
    taught = teacher.readings(np.vstack([prompt_vectors, extra]), signals)
    table = Table(word_vectors(vocabulary, vectors(vocabulary)), all_texts.attention(used))
    student = Student(all_texts, table.means(all_texts), torch.from_numpy(signals))
    shares = torch.zeros(len(taught))
    shares[used] = torch.sqrt(torch.from_numpy(np.bincount(rows.prompt)[used]).float())
    shares[taught_rows] = shares[used].mean()
    vectors_then = teacher.side.vectors()
    teach(student, taught, vectors=vectors_then, shares=shares, seed=seed)
    say("student taught")
    side = teacher.side
    tune(student, side, taught, rows=rows, seed=seed)
    student.round_pairs()
    say("student tuned")
    outside = _calibration_rows(pairs, held, rows.names, seed)
    fast = calibrated_sides(rows.names, side.vectors(), student.readings(), pairs, outside)
    weights = student.exported(table, mean, scale)
    return Made(weights, fast, teacher, vectors_then, rows, outside)


def _texts(
    pairs: Pairs, used: NDArray[np.int64], seed: int
) -> tuple[tuple[list[RequestFeatures], list[str]], NDArray[np.int64]]:
    """Return requests (all prompts, then variants of those used), the variants, and the variants' rows."""
    tokens = np.zeros(len(pairs.prompts), np.int64)
    tokens[pairs.prompt_of] = pairs.prompt_tokens
    per_character = tokens[used].sum() / max(1, sum(len(pairs.prompts[row]) for row in used))
    made = variants([pairs.prompts[row] for row in used], VARIANTS, seed)
    requests = [
        RequestFeatures("", "", int(count), None, prompt)
        for prompt, count in zip(pairs.prompts, tokens, strict=True)
    ]
    requests += [
        RequestFeatures("", "", max(1, round(len(text) * per_character)), None, text) for text in made
    ]
    return (requests, made), np.arange(len(pairs.prompts), len(requests))


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
