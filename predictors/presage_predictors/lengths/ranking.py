"""A rank instead of a length: whose response will be longer, for queues that serve short ones first.

Learning to rank (vLLM-LTR, arXiv 2408.15792) asks for the order only. The head here stands on the fast
tower's last hidden layer, trained with that paper's loss (`training/ranking.py`); that a model's vector
weighs its outputs, so that one head serves every model, is ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from presage_predictors.lengths.fast.network import FastTower
from presage_predictors.lengths.law import BASE, RANK
from presage_predictors.lengths.text import read
from presage_predictors.tensors import ArtefactError

if TYPE_CHECKING:
    from presage_policies.lengths import RequestFeatures

    from presage_predictors.lengths.artefact import Artefact


class Ranker:
    """Scores requests: the greater a score, the longer the response that is expected.

    Scores have an order and no unit. Nothing is learnt online. Raises ArtefactError without a rank head.
    """

    def __init__(self, artefact: Artefact) -> None:
        if artefact.rank is None:
            raise ArtefactError("these weights have no rank head: add one by `presage length rank`")
        self._tower = FastTower(artefact.weights)
        self._layer = artefact.rank
        self._book = artefact.sides.book()

    def score(self, features: RequestFeatures) -> float:
        """Return a request's score, that of its cap at most: training leaves scores about where logs are."""
        factors = self._tower.hidden(read(features)) @ self._layer[:-1] + self._layer[-1]
        side, _ = self._book.of(features.model)
        score = BASE + float(factors[0] + side[0] + factors[1:] @ side[1:RANK])
        return score if features.cap is None else min(score, math.log(features.cap))
