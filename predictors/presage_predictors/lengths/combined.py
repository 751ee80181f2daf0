"""Text and history together: each tier's say follows how well it has predicted lately.

Where prompts tell the length the text tier leads; where a client asks the same of a model all day, its
history does. Tiers are weighed by their losses on the client's own finished requests. (Exponential weights
with a discount; ours.)
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from presage_policies.lengths import WIRE_LEVELS, LengthDistribution, LengthPredictor, RequestFeatures

from presage_predictors.history import HistoryLengthPredictor
from presage_predictors.lengths.law import Vector
from presage_predictors.lengths.predictor import TextLengthPredictor, distribution_of

PRIOR_LOSSES = (0.0, 6.0)  # text, history: as if history had lost so much more already
TEMPER = 1.0  # weight per unit of pinball loss in log tokens, summed over levels
DISCOUNT = 0.99  # of a loss, with each request that follows
MOST_RECORDS = 2048
_LEVELS = np.array(WIRE_LEVELS)
_LARGEST_GAP = 50.0  # in the exponent


@dataclass(slots=True)
class _Record:
    """The tiers' discounted losses on one client's requests to one model."""

    losses: tuple[float, float] = PRIOR_LOSSES

    def add(self, text: float, history: float) -> None:
        self.losses = (DISCOUNT * self.losses[0] + text, DISCOUNT * self.losses[1] + history)

    def weights(self) -> tuple[float, float]:
        gap = TEMPER * (self.losses[1] - self.losses[0])
        history = 1 / (1 + math.exp(min(max(gap, -_LARGEST_GAP), _LARGEST_GAP)))
        return 1 - history, history


class CombinedLengthPredictor:
    """Quantiles of both tiers averaged in log tokens, by weights of their own for each client and model.

    With `online` off nothing is learnt or kept.
    """

    def __init__(
        self, text: TextLengthPredictor, history: LengthPredictor | None = None, *, online: bool = True
    ) -> None:
        self._text = text
        self._online = online
        self._history = history or HistoryLengthPredictor()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._fresh = _Record()

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the distribution of output tokens, cut at the request's cap."""
        logs = self._text.log_tokens(features)
        text, history = self.weights(features)
        if history >= _NEGLIGIBLE:
            logs = text * _cut(logs, features) + history * _logs(self._history.predict(features))
        return distribution_of(logs).capped(features.cap)

    def weights(self, features: RequestFeatures) -> tuple[float, float]:
        """Return the weights of text and history for such a request; they sum to 1."""
        return self._records.get(_place(features), self._fresh).weights()

    def shares(self, features: RequestFeatures) -> dict[str, float]:
        """Return the weights by name."""
        text, history = self.weights(features)
        return {"text": text, "history": history}

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Judge both tiers by a whole response, and let them learn from it."""
        if output_tokens < 1 or not self._online:
            return
        log_tokens = math.log(output_tokens)
        text = _loss(_cut(self._text.judged(features, output_tokens), features), log_tokens)
        history = _loss(_logs(self._history.predict(features)), log_tokens)
        self._history.observe(features, output_tokens)
        self._record(_place(features)).add(text, history)

    def _record(self, place: str) -> _Record:
        record = self._records.get(place)
        if record is None:
            record = self._records[place] = _Record()
            if len(self._records) > MOST_RECORDS:
                self._records.popitem(last=False)
        self._records.move_to_end(place)
        return record


_NEGLIGIBLE = 0.01  # history with less weight is not asked


def _place(features: RequestFeatures) -> str:
    return f"{features.client}\n{features.model}"


def _cut(log_tokens: Vector, features: RequestFeatures) -> Vector:
    """Return log tokens that rise, between those of a token and of the request's cap."""
    most = math.inf if features.cap is None else math.log(features.cap)
    cut: Vector = np.minimum(np.maximum(np.maximum.accumulate(log_tokens), 0.0), most)
    return cut


def _logs(length: LengthDistribution) -> Vector:
    return np.log(length.tokens if length.levels == WIRE_LEVELS else length.as_wire())


def _loss(predicted: Vector, log_tokens: float) -> float:
    """Return the pinball loss in log tokens, summed over levels."""
    error = log_tokens - predicted
    return float(np.maximum(_LEVELS * error, (_LEVELS - 1) * error).sum())
