"""All teachers: heads that see sentence vectors, heads that see words as well, and a Gaussian process.

What the fast tower is taught is their average (`ensemble.py`). The head that sees no words is also the
transformer tier's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from presage_predictors.lengths.training.ensemble import Medians, averaged, joined, medians_of
from presage_predictors.lengths.training.factors import factors_of
from presage_predictors.lengths.training.process import FITTED, process_scores
from presage_predictors.lengths.training.teacher import Teacher, train_teacher

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from presage_predictors.lengths.training.making import Say
    from presage_predictors.lengths.training.process import Views
    from presage_predictors.lengths.training.rows import Rows

WORD_HEADS = 2
PROCESS_WEIGHT = 2.0  # of the process beside a head
_WORDS_UNIT = 11.0  # lexical vectors have length 1: bring their entries to the order of one


@dataclass(frozen=True)
class Taught:
    """What teachers say of all texts: readings [texts, READING] for vectors [models, SIDE]; and a head."""

    readings: Tensor
    vectors: Tensor
    head: Teacher


def taught(rows: Rows, prompts: int, views: Views, seed: int, say: Say) -> Taught:
    """Train all teachers on rows, whose `prompts` come first among the views' texts."""
    sentence, signals = views.sentence.numpy(), views.signals.numpy()
    with_words = np.hstack([signals, _WORDS_UNIT * views.lexical.numpy()])
    head = train_teacher(rows, sentence[:prompts], signals[:prompts], seed)
    laws = [(head.readings(sentence, signals), head.side.vectors())]
    for turn in range(WORD_HEADS):
        other = train_teacher(rows, sentence[:prompts], with_words[:prompts], seed + turn + 1)
        laws.append((other.readings(sentence, with_words), other.side.vectors()))
    say("heads trained")
    counts = np.bincount(rows.prompt, minlength=prompts)
    process = _process(rows, prompts, views, seed)
    say("process fitted")
    members = [*((medians_of(*law), 1.0) for law in laws), (process, PROCESS_WEIGHT)]
    shares = np.zeros(len(sentence))
    shares[:prompts] = np.sqrt(counts)
    models = np.bincount(rows.model, minlength=len(rows.names)).astype(float)
    return Taught(*joined(*averaged(members, shares, models), laws), head)


def _process(rows: Rows, prompts: int, views: Views, seed: int) -> Medians:
    factors = factors_of(rows, prompts, seed)
    counts: NDArray[np.int64] = np.bincount(rows.prompt, minlength=prompts)
    scores = process_scores(factors, counts, views, seed)
    return Medians(factors.level, scores, factors.vectors[:, :FITTED])
