"""Text and history together: each tier's say follows how well it has predicted lately.

Where prompts tell the length the text tier leads; where a client asks the same of a model all day, its
history does. Tiers are weighed by their losses on the client's own finished requests. (Exponential weights
with a discount; ours.)
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from presage_policies.lengths import WIRE_LEVELS, LengthDistribution, LengthPredictor, RequestFeatures

from presage_predictors.history import HistoryLengthPredictor
from presage_predictors.lengths.law import Vector
from presage_predictors.lengths.predictor import distribution_of

PRIOR_LOSSES = (0.0, 6.0)  # text, history: as if history had lost so much more already
TEMPER = 1.0  # weight per unit of pinball loss in log tokens, summed over levels
DISCOUNT = 0.99  # of a loss, with each request that follows
MOST_RECORDS = 2048
_LEVELS = np.array(WIRE_LEVELS)
_LARGEST_GAP = 50.0  # in the exponent


@dataclass(slots=True)
class _Record:
    """The tiers' discounted losses on one client's requests to one model."""

    losses: Vector = field(default_factory=lambda: np.array(PRIOR_LOSSES))

    def weights(self) -> Vector:
        gaps = np.minimum(TEMPER * (self.losses - self.losses.min()), _LARGEST_GAP)
        shares = np.exp(-gaps)
        weights: Vector = shares / shares.sum()
        return weights


class CombinedLengthPredictor:
    """Quantiles of both tiers averaged in log tokens, by weights of their own for each client and model."""

    def __init__(self, text: LengthPredictor, history: LengthPredictor | None = None) -> None:
        self._tiers = (text, history or HistoryLengthPredictor())
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._fresh = _Record()

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the distribution of output tokens, cut at the request's cap."""
        text, history = self._tiers
        weights = self._records.get(_place(features), self._fresh).weights()
        first = text.predict(features)
        if weights[1] < _NEGLIGIBLE:
            return first
        logs = weights[0] * _logs(first) + weights[1] * _logs(history.predict(features))
        return distribution_of(logs).capped(features.cap)

    def weights(self, features: RequestFeatures) -> tuple[float, float]:
        """Return the weights of text and history for such a request; they sum to 1."""
        weights = self._records.get(_place(features), self._fresh).weights()
        return float(weights[0]), float(weights[1])

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Judge both tiers by a whole response, then let them learn from it."""
        if output_tokens < 1:
            return
        place = _place(features)
        record = self._records.get(place)
        if record is None:
            record = self._records[place] = _Record()
            if len(self._records) > MOST_RECORDS:
                self._records.popitem(last=False)
        self._records.move_to_end(place)
        log_tokens = math.log(output_tokens)
        losses = [_loss(tier.predict(features), log_tokens) for tier in self._tiers]
        record.losses = DISCOUNT * record.losses + np.array(losses)
        for tier in self._tiers:
            tier.observe(features, output_tokens)


_NEGLIGIBLE = 0.01  # a tier with less weight is not asked


def _place(features: RequestFeatures) -> str:
    return f"{features.client}\n{features.model}"


def _logs(length: LengthDistribution) -> Vector:
    return np.log(length.tokens if length.levels == WIRE_LEVELS else length.as_wire())


def _loss(length: LengthDistribution, log_tokens: float) -> float:
    """Return the pinball loss in log tokens, summed over levels."""
    error = log_tokens - _logs(length)
    return float(np.maximum(_LEVELS * error, (_LEVELS - 1) * error).sum())
