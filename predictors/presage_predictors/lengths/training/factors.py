"""Prompts and models apart: the matrix of log lengths as a few numbers of each prompt and each model.

Some hundred prompts have an answer of each of two hundred models and thousands have a single one. Once a
prompt is a few numbers with a precision, what is learnt of prompts can weigh each by what its rows tell, and
not by how many they are. (Probabilistic matrix factorisation, Salakhutdinov and Mnih, NIPS 2007, by
alternating least squares with the prompts' uncertainty kept, and a noise for each model.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from presage_predictors.lengths.training.rows import Rows

    Array = NDArray[np.float64]

FACTORS = 6
ROUNDS = 12
DENSE = 20  # rows of a prompt from which it helps to find the axes
_MODEL_WEIGHT = 20.0  # of what models have in common, against a model's own rows
_NOISE, _NOISE_WEIGHT = 0.25, 10.0  # a model's variance about its fit begins here, and how firmly
_TRUSTED = 2.0  # standard deviations beyond which a row counts less
_SURELY = 2  # rounds before rows are distrusted
_SMALL = 1e-6


@dataclass(frozen=True)
class Factors:
    """Log tokens are about `level[model] + vectors[model]·scores[prompt]`.

    Scores [prompts, FACTORS] have variance one over prompts with many rows, and the first tells most of
    lengths; `precisions` [prompts, FACTORS] say how much the rows tell of each. `vectors` is
    [models, FACTORS], `level` [models].
    """

    level: Array
    vectors: Array
    scores: Array
    precisions: Array


def factors_of(rows: Rows, prompts: int, seed: int) -> Factors:
    """Factorise rows; prompts without a row have scores and precisions of 0."""
    fit = _Fit(rows, prompts, seed)
    for turn in range(ROUNDS):
        fit.prompts(distrust=turn > _SURELY)
        fit.models()
    return fit.turned()


class _Fit:
    """The alternation's state: weights of rows, prompts' means and covariances, models' vectors."""

    def __init__(self, rows: Rows, prompts: int, seed: int) -> None:
        self._prompt, self._model = rows.prompt, rows.model
        self._target = rows.log_tokens.numpy().astype(float)
        self._count, self._models = prompts, len(rows.names)
        share = np.bincount(self._model, minlength=self._models)
        self._level = np.bincount(self._model, self._target, self._models) / np.maximum(share, 1)
        self._vectors = np.random.default_rng(seed).normal(0, 0.1, (self._models, FACTORS))
        self._vectors[:, 0] = np.sqrt(_NOISE)
        self._noise = np.full(self._models, _NOISE)
        self._scores = np.zeros((prompts, FACTORS))
        order = np.argsort(self._model, kind="stable")
        self._rows_of = np.split(order, np.cumsum(share)[:-1])

    def prompts(self, *, distrust: bool) -> None:
        """Fit the prompts' scores to the models' vectors, with a standard normal prior."""
        beyond = self._target - self._level[self._model]
        vectors, noise = self._vectors[self._model], self._noise[self._model]
        self._weights = 1 / noise
        if distrust:
            error = np.abs(beyond - (vectors * self._scores[self._prompt]).sum(1))
            self._weights = self._weights / np.maximum(1.0, error / (_TRUSTED * np.sqrt(noise)))
        self._precision = np.zeros((self._count, FACTORS, FACTORS))
        for i in range(FACTORS):
            for j in range(i, FACTORS):
                self._precision[:, i, j] = self._precision[:, j, i] = self._sum(vectors[:, i] * vectors[:, j])
        told = np.stack([self._sum(vectors[:, i] * beyond) for i in range(FACTORS)], 1)
        self._covariance = np.linalg.inv(self._precision + np.eye(FACTORS))
        self._scores = np.einsum("pij,pj->pi", self._covariance, told)

    def models(self) -> None:
        """Fit each model's level, vector and noise to the prompts, drawn towards the models' mean vector."""
        common = np.concatenate([[0.0], self._vectors.mean(0)])
        drawn = np.diag([1e-3] + FACTORS * [_MODEL_WEIGHT])
        for model, own in enumerate(self._rows_of):
            places, weights = self._prompt[own], self._weights[own]
            design = np.column_stack([np.ones(len(own)), self._scores[places]])
            unsure = self._covariance[places]
            gram = (design * weights[:, None]).T @ design + drawn
            gram[1:, 1:] += np.einsum("n,nij->ij", weights, unsure)
            told = (design * weights[:, None]).T @ self._target[own] + drawn @ common
            found = np.linalg.solve(gram, told)
            self._level[model], self._vectors[model] = found[0], found[1:]
            squares = np.minimum((self._target[own] - design @ found) ** 2, 9 * self._noise[model])
            squares += np.einsum("i,nij,j->n", found[1:], unsure, found[1:])
            self._noise[model] = (squares.sum() + _NOISE * _NOISE_WEIGHT) / (len(own) + _NOISE_WEIGHT)

    def turned(self) -> Factors:
        """Return the fit along axes that do not correlate, ordered by what they move lengths."""
        counts = np.bincount(self._prompt, minlength=self._count)
        dense = counts >= min(DENSE, counts.max())
        root = np.linalg.cholesky(np.cov(self._scores[dense].T) + _SMALL * np.eye(FACTORS))
        share = np.sqrt(np.bincount(self._model, minlength=self._models) / self._noise)
        _, _, axes = np.linalg.svd((share[:, None] * self._vectors) @ root, full_matrices=False)
        turn = root @ axes.T  # vectors @ turn go with scores @ inverse(turn).T
        vectors = self._vectors @ turn
        signs = np.where(vectors.mean(0) < 0, -1.0, 1.0)
        scores = self._scores @ np.linalg.inv(turn).T
        told = np.einsum("ik,pij,jk->pk", turn, self._precision, turn)
        return Factors(self._level, vectors * signs, scores * signs, told)

    def _sum(self, values: Array) -> Array:
        """Return the weighted sum of row values by prompt."""
        return np.bincount(self._prompt, self._weights * values, self._count).astype(float)
