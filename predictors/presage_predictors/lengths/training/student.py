"""The fast tower in torch: taught the teacher's readings on many texts, then tuned on the pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from presage_predictors.lengths.fast.network import (
    EPSILON,
    NORM_EPSILON,
    PAIR_WIDTH,
    POOLED,
    WORD_WIDTH,
    Weights,
    word_means,
)
from presage_predictors.lengths.law import RANK, READING
from presage_predictors.lengths.text import MOST_WORDS, PAIR_ROWS, WORD_ROWS, word_row
from presage_predictors.lengths.training.law import log_quantiles, loss, middle
from presage_predictors.lengths.training.teacher import LARGEST_GRADIENT, WARM_UP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from presage_predictors.lengths.text import Reading
    from presage_predictors.lengths.training.rows import Rows
    from presage_predictors.lengths.training.side import Side

HIDDEN = 256
TAUGHT_BATCH, TAUGHT_STEPS, TAUGHT_RATE = 256, 2400, 2e-3
MODELS_A_STEP = 64
REHEARSED_BATCH = 128
TUNED_BATCH, TUNED_EPOCHS, TUNED_RATE = 4096, 1.0, 1e-3
TEACHER_WEIGHT = 2.0  # of the teacher's median beside the data, while tuning
DROPPED, DROPPED_INPUTS = 0.2, 0.1
DECAY = 0.05
_SMALL = 0.02
RARE = 0.1  # a word as common as this has half the attention of a rare one; "how" and "list" say much


class Texts:
    """What was read of texts: word rows, padded pair rows [texts, MOST_WORDS], signals [texts, signals]."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.words = [reading.words for reading in readings]
        self.pairs = torch.full((len(readings), MOST_WORDS), PAIR_ROWS, dtype=torch.int32)
        for place, reading in enumerate(readings):
            self.pairs[place, : len(reading.pairs)] = torch.from_numpy(reading.pairs)
        self.counts = torch.tensor([len(reading.pairs) for reading in readings])
        self.signals = np.stack([reading.signals for reading in readings])

    def attention(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the weight of each row of the table of words, [WORD_ROWS], by its share of these texts."""
        seen = np.zeros(WORD_ROWS)
        for row in rows:
            seen[np.unique(self.words[row])] += 1
        return (RARE / (RARE + seen / max(1, len(rows)))).astype(np.float32)


class Table:
    """The words' vectors as the run time has them, which stay as they are while the rest is trained."""

    def __init__(self, vectors: NDArray[np.float32], attention: NDArray[np.float32]) -> None:
        self.words, self.scale = _rounded(vectors)
        self.attention = attention

    def means(self, texts: Texts) -> Tensor:
        """Return the means [texts, 3 * WORD_WIDTH] of texts."""
        made = [word_means(self.words, self.scale, self.attention, words) for words in texts.words]
        return torch.from_numpy(np.stack(made).astype(np.float32))


class Student(nn.Module):  # type: ignore[misc]  # torch is absent where types are checked
    """`fast/network.py` in torch, behind means of word vectors that are worked out once."""

    def __init__(self, texts: Texts, means: Tensor, signals: Tensor) -> None:
        super().__init__()
        self._texts, self._means, self._signals = texts, means, signals
        self.pairs = nn.Embedding(PAIR_ROWS + 1, PAIR_WIDTH, padding_idx=PAIR_ROWS)
        with torch.no_grad():
            self.pairs.weight.normal_(0, _SMALL)
            self.pairs.weight[PAIR_ROWS] = 0
        self.norm = nn.LayerNorm(POOLED, eps=NORM_EPSILON, elementwise_affine=False)
        self.first = nn.Linear(POOLED + signals.shape[1], HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.last = nn.Linear(HIDDEN, READING)
        self.drop_inputs = nn.Dropout(DROPPED_INPUTS)
        self.drop = nn.Dropout(DROPPED)

    def forward(self, rows: Tensor) -> Tensor:
        """Return readings [rows, READING] of texts by number."""
        longest = max(1, int(self._texts.counts[rows].max()))
        pairs = self._texts.pairs[rows, :longest].long()
        roots = (pairs != PAIR_ROWS).sum(1, keepdim=True).clamp(min=1).sqrt()
        pooled = torch.cat([self._means[rows], self.pairs(pairs).sum(1) / roots], 1)
        inputs = torch.cat([self.drop_inputs(self.norm(pooled)), self._signals[rows]], 1)
        hidden = nn.functional.silu(self.first(inputs))
        hidden = nn.functional.silu(self.second(self.drop(hidden)))
        return self.last(self.drop(hidden))

    def readings(self) -> Tensor:
        """Return readings of all texts, without gradients."""
        self.eval()
        rows = torch.arange(len(self._means)).split(TAUGHT_BATCH)
        with torch.no_grad():
            return torch.cat([self(part) for part in rows])

    def round_pairs(self) -> None:
        """Put the pairs' vectors at the values that an export keeps, so that both compute the same."""
        with torch.no_grad():
            whole, scale = _rounded(self.pairs.weight[:-1].numpy())
            self.pairs.weight[:-1] = torch.from_numpy(whole * scale)

    def exported(self, table: Table, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> Weights:
        """Return the weights as the run time has them: tables of whole numbers times scales."""
        pairs, pair_scale = _rounded(self.pairs.weight[:-1].detach().numpy())
        layers = (_stacked(layer) for layer in (self.first, self.second, self.last))
        return Weights(table.words, table.scale, table.attention, pairs, pair_scale, mean, scale, *layers)


def word_vectors(words: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a table [WORD_ROWS, WORD_WIDTH] of principal components; the more common word wins a row."""
    centred = vectors - vectors.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    components = centred @ axes[:, ::-1][:, :WORD_WIDTH]
    components /= components.std()
    table = np.zeros((WORD_ROWS, WORD_WIDTH), np.float32)
    for word, vector in zip(reversed(words), components[::-1], strict=True):
        table[word_row(word)] = vector
    return table


def teach(student: Student, taught: Tensor, *, vectors: Tensor, shares: Tensor, seed: int) -> None:
    """Teach readings [texts, READING], texts drawn by shares [texts]; errors count as the models see them.

    `vectors` [models, SIDE] are the teacher's: a reading's error matters by how far it moves medians.
    """
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(student.parameters(), lr=TAUGHT_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, TAUGHT_RATE, total_steps=TAUGHT_STEPS + 1, pct_start=WARM_UP
    )
    unit = taught.std(0) + EPSILON
    student.train()
    for _ in range(TAUGHT_STEPS):
        rows = torch.multinomial(shares, TAUGHT_BATCH, replacement=True)
        error = student(rows) - taught[rows]
        total = _moved(error, vectors) + _SPREAD_WEIGHT * ((error / unit) ** 2).mean()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()


_SPREAD_WEIGHT = 0.05  # of a reading's entries each for itself, spread and shape among them


def _moved(error: Tensor, vectors: Tensor) -> Tensor:
    """Return how far errors of readings [texts, READING] move medians of some of the models."""
    some = vectors[torch.randint(len(vectors), (MODELS_A_STEP,))]
    medians = error[:, :1] + error[:, 1:RANK] @ some[:, 1:RANK].T
    return medians.abs().mean() + (medians**2).mean() / 2


def tune(student: Student, side: Side, taught: Tensor, *, rows: Rows, rehearsed: Tensor, seed: int) -> None:
    """Train on the pairs, with the teacher's medians beside the data; the models' vectors move along.

    `rehearsed` are texts without pairs (by number) whose teaching is kept up meanwhile.
    """
    torch.manual_seed(seed)
    vectors = side.vectors()
    parameters = [*student.parameters(), *side.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=TUNED_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, TUNED_RATE, total_steps=rows.count(TUNED_BATCH, TUNED_EPOCHS) + 1, pct_start=WARM_UP
    )
    student.train()
    side.train()
    for batch in rows.batches(TUNED_BATCH, TUNED_EPOCHS, seed):
        prompts, place = np.unique(rows.prompt[batch], return_inverse=True)
        models = torch.from_numpy(rows.model[batch])
        reading = student(torch.from_numpy(prompts))[torch.from_numpy(place)]
        vector = side(models)
        error = loss(log_quantiles(reading, vector), *rows.targets(batch))
        wanted = middle(taught[torch.from_numpy(rows.prompt[batch])], vectors[models])
        error = error + TEACHER_WEIGHT * (middle(reading, vector) - wanted).abs().mean()
        again = rehearsed[torch.randint(len(rehearsed), (REHEARSED_BATCH,))]
        error = error + _moved(student(again) - taught[again], vectors)
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
    side.eval()


def _rounded(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    scale = np.maximum(np.abs(values).max(0), _LEAST_SCALE) / _LARGEST_WHOLE
    return np.round(values / scale).astype(np.int8), scale.astype(np.float32)


_LARGEST_WHOLE = 127
_LEAST_SCALE = 1e-9


def _stacked(layer: nn.Linear) -> NDArray[np.float32]:
    return np.vstack([layer.weight.detach().numpy().T, layer.bias.detach().numpy()[None]])
