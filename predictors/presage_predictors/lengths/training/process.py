"""A Gaussian process over prompts: what a factor of a prompt is, from prompts that read alike.

With some hundred well-known prompts a process that weighs each by its precision errs elsewhere than a
network does, so both together err less. Kernels of the sentence vector, of plain signals and of words are
added, and their shares fitted by the marginal likelihood (Rasmussen and Williams, 2006, section 5.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from presage_predictors.lengths.training.factors import Factors

FITTED = 4  # factors; the rest is hardly told by a text
LEAST_ROWS = 5  # of a prompt, to tell of every factor
SPARSE_TAKEN = 3000  # prompts with fewer rows, which tell of the first factor only
STEPS, SAMPLE, RATE = 40, 1200, 0.08  # of fitting a kernel: steps, prompts a step, Adam's rate
_BLOCK = 4096
_JITTER = 1e-4
_LEAST_PRECISION = 1e-3
_PLAIN = -1.5  # log weight of a signal, to begin with
_PLAIN_WEIGHT = 5e-4  # of the drift from it


@dataclass(frozen=True)
class Views:
    """Three views of texts: sentence vectors, standard signals and lexical vectors, each [texts, width]."""

    sentence: Tensor
    signals: Tensor
    lexical: Tensor

    def taken(self, rows: NDArray[np.int64]) -> Views:
        """Return the views of some texts."""
        place = torch.from_numpy(rows)
        return Views(self.sentence[place], self.signals[place], self.lexical[place])


def process_scores(
    factors: Factors, rows_of: NDArray[np.int64], views: Views, seed: int
) -> NDArray[np.float64]:
    """Return the scores [texts, FITTED] that processes predict for all texts.

    `rows_of` [prompts] counts the rows of each prompt, which come first among the texts.
    """
    rng = np.random.default_rng(seed)
    dense = np.flatnonzero(rows_of >= LEAST_ROWS)
    sparse = rng.permutation(np.flatnonzero((rows_of > 0) & (rows_of < LEAST_ROWS)))[:SPARSE_TAKEN]
    made = np.zeros((len(views.sentence), FITTED))
    for place in range(FITTED):
        chosen = np.concatenate([dense, sparse]) if place == 0 else dense
        told = np.maximum(factors.precisions[chosen, place], _LEAST_PRECISION)
        values = factors.scores[chosen, place] * (told + 1) / told  # without the prior's pull
        process = _Process(views.taken(chosen), _single(values), _single(1 / told))
        process.fit(rng)
        made[:, place] = process.predicted(views)
    return made


def _single(values: NDArray[np.float64]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


class _Kernel(nn.Module):  # type: ignore[misc]  # torch is absent where types are checked
    """Rational quadratic kernels of the views, their sum, and a product of sentence and signals."""

    def __init__(self, signals: int) -> None:
        super().__init__()
        self.shares = nn.Parameter(torch.tensor([-1.0, -1.0, -1.5, -1.0, -2.0]))  # logs
        self.lengths = nn.Parameter(torch.tensor([0.0, 0.0, -0.9]))  # logs
        self.signals = nn.Parameter(torch.full((signals,), _PLAIN))  # logs

    def forward(self, left: Views, right: Views) -> Tensor:
        """Return covariances [left, right]."""
        shares, lengths, scale = self.shares.exp(), self.lengths.exp(), self.signals.exp()
        apart = _squares(left.sentence, right.sentence)
        sentence = _rational(apart, lengths[0])
        signals = _rational(_squares(left.signals * scale, right.signals * scale), torch.ones(()))
        lexical = _rational(_squares(left.lexical, right.lexical), lengths[1])
        near = _rational(apart, lengths[2])
        parts = (sentence, signals, lexical, sentence * signals, near)
        return torch.stack([share * part for share, part in zip(shares, parts, strict=True)]).sum(0)


class _Process:
    """One factor's process: values with known noise at texts, plus a noise of its own and a mean."""

    def __init__(self, views: Views, values: Tensor, noise: Tensor) -> None:
        self._views, self._values, self._noise = views, values, noise
        self._kernel = _Kernel(views.signals.shape[1])
        self._own = nn.Parameter(torch.tensor(_PLAIN))
        self._mean = nn.Parameter(torch.tensor(0.0))

    def fit(self, rng: np.random.Generator) -> None:
        """Raise the marginal likelihood of samples of the texts."""
        count = len(self._values)
        optimizer = torch.optim.Adam([*self._kernel.parameters(), self._own, self._mean], lr=RATE)
        for _ in range(STEPS):
            sample = rng.choice(count, min(SAMPLE, count), replace=False)
            root, solved, beyond = self._solved(sample)
            surprise = (beyond @ solved) / 2 + torch.log(torch.diagonal(root)).sum()
            drift = ((self._kernel.signals - _PLAIN) ** 2).sum()
            total = surprise / len(sample) + _PLAIN_WEIGHT * drift
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

    def predicted(self, views: Views) -> NDArray[np.float64]:
        """Return the posterior mean at texts [texts]."""
        with torch.no_grad():
            _, solved, _ = self._solved(np.arange(len(self._values)))
            blocks = np.split(np.arange(len(views.sentence)), range(_BLOCK, len(views.sentence), _BLOCK))
            means = [self._kernel(views.taken(block), self._views) @ solved for block in blocks]
            made: NDArray[np.float64] = (torch.cat(means) + self._mean).numpy().astype(float)
            return made

    def _solved(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the covariance's root, its inverse times what lies beyond the mean, and the latter."""
        views = self._views.taken(rows)
        place = torch.from_numpy(rows)
        noise = self._noise[place] + self._own.exp() + _JITTER
        root = torch.linalg.cholesky(self._kernel(views, views) + torch.diag(noise))
        beyond = self._values[place] - self._mean
        return root, torch.cholesky_solve(beyond[:, None], root)[:, 0], beyond


def _squares(left: Tensor, right: Tensor) -> Tensor:
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    return squares.clamp(min=0)


def _rational(squares: Tensor, length: Tensor) -> Tensor:
    return 1 / (1 + squares / (2 * length**2))
