"""After the tower: priors of the models' vectors, and the scores at which laws have to be read.

Closed forms on what the tower says: ridge regression of vectors on names, covariances of what names do not
tell (from folds by family, so that a model's kin is not its own witness), scores of held-out prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from presage_policies.lengths import WIRE_LEVELS

from presage_predictors.lengths.law import RANK, SIDE, log_quantiles, score_of
from presage_predictors.lengths.names import name_grams
from presage_predictors.lengths.sides import Sides
from presage_predictors.lengths.split import family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FOLDS = 10
RIDGE = 2.0  # of name n-grams whose vectors have length 1
KNOWN_SHARE = 0.1  # a known model's vector may lie so much of an unknown one's variance from where it was
CLIENT_SHARE = 0.5  # and a client's from its model's
_FLOOR = 1e-4


def fitted_sides(names: Sequence[str], vectors: Array, scores: Array) -> Sides:
    """Return the models' side of vectors [models, SIDE]: regression on names, covariances of priors."""
    middle = vectors.mean(0)
    grams = np.stack([name_grams(name) for name in names]).astype(float)
    beyond = _beyond_names(names, grams, vectors - middle)
    covariance = beyond[:, :RANK].T @ beyond[:, :RANK] / len(names) + _FLOOR * np.eye(RANK)
    return Sides(
        names=tuple(names),
        known=vectors.astype(np.float32),
        from_name=_ridge(grams, vectors - middle).astype(np.float32),
        middle=middle.astype(np.float32),
        unknown_covariance=covariance.astype(np.float32),
        known_covariance=(KNOWN_SHARE * covariance).astype(np.float32),
        client_covariance=(CLIENT_SHARE * covariance).astype(np.float32),
        scores=scores.astype(np.float32),
    )


def _beyond_names(names: Sequence[str], grams: Array, vectors: Array) -> Array:
    """Return what names do not tell of the vectors, each family predicted from the others."""
    families = np.unique([family(name) for name in names], return_inverse=True)[1]
    left = np.zeros((len(names), SIDE))
    for fold in range(FOLDS):
        out = families % FOLDS == fold
        if out.any() and not out.all():
            left[out] = vectors[out] - grams[out] @ _ridge(grams[~out], vectors[~out])
    return left


def _ridge(grams: Array, vectors: Array) -> Array:
    penalised = grams.T @ grams + RIDGE * np.eye(grams.shape[1])
    return np.asarray(np.linalg.solve(penalised, grams.T @ vectors), np.float64)


def scores_of(readings: Array, vectors: Array, log_tokens: Array) -> Array:
    """Return the normal scores at `WIRE_LEVELS` of lengths in the laws predicted for them, all [rows]."""
    scores = [
        score_of(float(length), log_quantiles(reading, vector))
        for reading, vector, length in zip(readings, vectors, log_tokens, strict=True)
    ]
    found: Array = np.quantile(np.array(scores), WIRE_LEVELS)
    return found
