"""A trial of the rank head on pairs: its order, beside that of the fast tier's median.

A score has no unit, so figures of errors, quantiles and coverage are None. (Within a model as in arXiv
2408.15792, whose scheduler serves a single one.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from presage_predictors.lengths.evaluation import kendall_tau, spearman
from presage_predictors.lengths.trial import grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from presage_policies.lengths import LengthPredictor

    from presage_predictors.lengths.evaluation import Array
    from presage_predictors.lengths.pairs import Pairs
    from presage_predictors.lengths.ranking import Ranker
    from presage_predictors.lengths.trial import Columns

LEAST_RANKED = 20  # requests of a model, to have a τ of its own
NO_LENGTHS = ("mae", "median_ape", "within25", "pinball", "coverage90", "width90")

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Ranked:
    """Scores, medians in tokens of the fast tier, true lengths in tokens and models, all [requests]."""

    scores: Array
    medians: Array
    truth: Array
    models: NDArray[np.str_]

    def taken(self, rows: NDArray[np.int64]) -> Ranked:
        """Return the same of some requests."""
        return Ranked(self.scores[rows], self.medians[rows], self.truth[rows], self.models[rows])


def attempt(ranker: Ranker, fast: LengthPredictor, pairs: Pairs) -> Ranked:
    """Ask both for every pair; nothing is observed."""
    requests = [pairs.features(row) for row in range(len(pairs))]
    scores = np.array([ranker.score(request) for request in requests])
    medians = np.array([fast.predict(request).median for request in requests])
    return Ranked(scores, medians, pairs.response_tokens.astype(float), pairs.models)


def report(result: Ranked, columns: Columns, timing: Mapping[str, float]) -> dict[str, object]:
    """Return figures over all requests, and by each value of each column [requests]."""
    return grouped(lambda rows: figures(result.taken(rows)), len(result.truth), columns, timing)


def figures(result: Ranked) -> Figures:
    """Return the ranks' figures, those of the median under names that begin with `median_of_fast`."""
    ranks = _ranks(result.scores, result)
    beside = {f"median_of_fast_{name}": value for name, value in _ranks(result.medians, result).items()}
    return {"requests": float(len(result.truth)), **dict.fromkeys(NO_LENGTHS), **ranks, **beside}


def _ranks(values: Array, result: Ranked) -> Figures:
    return {
        "spearman": _defined(spearman(values, result.truth)),
        "kendall_tau": _defined(kendall_tau(values, result.truth)),
        "kendall_tau_within_model": _within_model(values, result),
    }


def _within_model(values: Array, result: Ranked) -> float | None:
    """Return the mean τ of models that have enough requests and are not constant; None without such."""
    found = []
    for model, count in zip(*np.unique(result.models, return_counts=True), strict=True):
        own = result.models == model
        if count >= LEAST_RANKED:
            found.append(_defined(kendall_tau(values[own], result.truth[own])))
    defined = [tau for tau in found if tau is not None]
    return float(np.mean(defined)) if defined else None


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
