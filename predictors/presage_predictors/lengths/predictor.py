"""Lengths from text: a tower reads the prompt, the model's vector says what that model makes of it.

The tower is the fast one or a transformer; what is learnt online is the same for both. Nothing of a
prompt is kept but the tower's reading of it, a dozen numbers under a hash, until its response has ended.
"""

from collections import OrderedDict
from typing import Protocol

import numpy as np
from presage_policies.lengths import WIRE_LEVELS, LengthDistribution, RequestFeatures

from presage_predictors.lengths.beliefs import Belief, Beliefs, learn
from presage_predictors.lengths.calibration import Calibration
from presage_predictors.lengths.law import MEDIAN, SCORES, Vector, at_scores, design, log_quantiles, score_of
from presage_predictors.lengths.sides import Sides

MOST_READINGS = 2048  # readings kept for requests whose responses have not ended
MOST_LEARNT_NAME = 256  # characters of a client's or model's name that tell it from others
_ABOUT_90 = WIRE_LEVELS.index(0.9)


class Tower(Protocol):
    """Reads a prompt into the numbers that a law is made of."""

    def read(self, features: RequestFeatures) -> Vector:
        """Return the reading [READING] of a request; it depends on the prompt, not on the model."""
        ...


class TextLengthPredictor:
    """Predicts from a tower's reading and the model's vector; learns vectors and coverage online.

    With `online` off nothing is learnt or kept, and every prediction is that of the shipped weights.
    """

    def __init__(self, tower: Tower, sides: Sides, *, online: bool = True) -> None:
        self._tower = tower
        self._book = sides.book()
        self._online = online
        self._models = Beliefs()
        self._clients = Beliefs()
        self._calibration = Calibration(self._book.scores)
        self._readings: OrderedDict[int, Vector] = OrderedDict()

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the distribution of output tokens, cut at the request's cap."""
        law = self.log_law(features)
        return distribution_of(at_scores(law, self._calibration.scores(_places(features)))).capped(
            features.cap
        )

    def log_law(self, features: RequestFeatures) -> Vector:
        """Return log tokens at `WIRE_LEVELS` with what was learnt of model and client, uncalibrated."""
        reading = self._reading(features)
        return self._law(reading, design(reading), features)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn from a whole response; one that was cut at `max_tokens` counts as that long."""
        if output_tokens < 1 or not self._online:
            return
        reading = self._reading(features)
        x = design(reading)
        law = self._law(reading, x, features)
        log_tokens = float(np.log(output_tokens))
        self._calibration.observe(_places(features), score_of(log_tokens, law))
        _, prior = self._book.of(features.model)
        noise = (float(law[_ABOUT_90] - law[MEDIAN]) / float(SCORES[_ABOUT_90])) ** 2
        beliefs = (
            self._models.to_learn(features.model[:MOST_LEARNT_NAME], prior),
            self._clients.to_learn(features.client[:MOST_LEARNT_NAME], self._book.client),
        )
        learn(beliefs, x, log_tokens - float(law[MEDIAN]), max(noise, _LEAST_NOISE))

    def _law(self, reading: Vector, x: Vector, features: RequestFeatures) -> Vector:
        side, prior = self._book.of(features.model)
        learnt = self._learnt(features, prior)
        if learnt is None:
            return log_quantiles(reading, side, 0.0)
        side = side.copy()
        widening = 0.0
        for belief in learnt:
            side[: len(x)] += belief.mean
            widening += float(x @ belief.covariance @ x)
        return log_quantiles(reading, side, widening)

    def _learnt(self, features: RequestFeatures, prior: Belief) -> tuple[Belief, ...] | None:
        """Return the beliefs about a request's model and client; None while nothing was learnt of either."""
        model = self._models.under(features.model[:MOST_LEARNT_NAME], prior)
        client = self._clients.under(features.client[:MOST_LEARNT_NAME], self._book.client)
        if model is prior and client is self._book.client:
            return None
        return model, client

    def _reading(self, features: RequestFeatures) -> Vector:
        key = hash((features.prompt, features.prompt_tokens, features.tools))
        reading = self._readings.get(key)
        if reading is None:
            reading = self._tower.read(features)
            if self._online:
                self._readings[key] = reading
                if len(self._readings) > MOST_READINGS:
                    self._readings.popitem(last=False)
        return reading


_LEAST_NOISE = 0.01  # variance of log tokens: no response says more than this of a vector


def distribution_of(log_tokens: Vector) -> LengthDistribution:
    """Return the distribution whose quantiles at `WIRE_LEVELS` have these logs; none is below a token."""
    tokens = np.maximum(1.0, np.exp(np.maximum.accumulate(log_tokens)))
    return LengthDistribution(WIRE_LEVELS, tuple(tokens.tolist()))


def _places(features: RequestFeatures) -> tuple[str, str]:
    """Return the keys of what is calibrated together: a client's requests, and those to one model."""
    client = features.client[:MOST_LEARNT_NAME]
    return client, f"{client}\n{features.model[:MOST_LEARNT_NAME]}"
