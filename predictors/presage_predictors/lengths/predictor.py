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
        return distribution_of(self.log_tokens(features)).capped(features.cap)

    def log_tokens(self, features: RequestFeatures) -> Vector:
        """Return log tokens at `WIRE_LEVELS`, before they are cut at the request's cap."""
        reading = self._reading(features)
        return self._calibrated(self._law(reading, design(reading), features), features)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn from a whole response; one that was cut at `max_tokens` counts as that long."""
        if output_tokens >= 1 and self._online:
            reading = self._reading(features)
            self._learn(features, reading, self._law(reading, design(reading), features), output_tokens)

    def judged(self, features: RequestFeatures, output_tokens: int) -> Vector:
        """Learn from a whole response of a token or more; return `log_tokens` as they were before.

        One pass for whoever weighs predictors, and so needs both.
        """
        reading = self._reading(features)
        law = self._law(reading, design(reading), features)
        before = self._calibrated(law, features)
        if self._online:
            self._learn(features, reading, law, output_tokens)
        return before

    def shares(self, features: RequestFeatures) -> dict[str, float]:
        """Return that only the text has a say."""
        del features
        return {"text": 1.0}

    def _learn(self, features: RequestFeatures, reading: Vector, law: Vector, output_tokens: int) -> None:
        """Learn from a response, after which its prompt's reading is of no use."""
        self._readings.pop(_key(features), None)
        log_tokens = float(np.log(output_tokens))
        self._calibration.observe(_places(features), score_of(log_tokens, law))
        _, prior = self._book.of(features.model)
        noise = (float(law[_ABOUT_90] - law[MEDIAN]) / float(SCORES[_ABOUT_90])) ** 2
        beliefs = [self._models.to_learn(features.model[:MOST_LEARNT_NAME], prior)]
        beliefs += [self._clients.to_learn(key, self._book.client) for key in _client_keys(features)]
        learn(tuple(beliefs), design(reading), log_tokens - float(law[MEDIAN]), max(noise, _LEAST_NOISE))

    def _calibrated(self, law: Vector, features: RequestFeatures) -> Vector:
        return at_scores(law, self._calibration.scores(_places(features)))

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

    def _learnt(self, features: RequestFeatures, prior: Belief) -> list[Belief] | None:
        """Return the beliefs about a request's model, client and manner; None while nothing was learnt."""
        unlearnt = self._book.client
        beliefs = [self._models.under(features.model[:MOST_LEARNT_NAME], prior)]
        beliefs += [self._clients.under(key, unlearnt) for key in _client_keys(features)]
        if all(belief is prior or belief is unlearnt for belief in beliefs):
            return None
        return beliefs

    def _reading(self, features: RequestFeatures) -> Vector:
        key = _key(features)
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


def _key(features: RequestFeatures) -> int:
    """Return the hash that a reading is kept under; of a long prompt, what no tower looks at is left out."""
    prompt = features.prompt
    shown: tuple[str, ...] = (prompt,)
    if len(prompt) > 2 * _KEYED_CHARACTERS:
        shown = (prompt[:_KEYED_CHARACTERS], prompt[-_KEYED_CHARACTERS:])
    return hash((*shown, len(prompt), features.prompt_tokens, features.tools))


_KEYED_CHARACTERS = 4096  # of head and of tail: more than the widest tower reads


def _client_keys(features: RequestFeatures) -> tuple[str, ...]:
    """Return the keys of what is learnt of a client: all its requests, and those made in this manner."""
    client = features.client[:MOST_LEARNT_NAME]
    return (client, f"{client}\n{features.manner}") if features.manner else (client,)


def _places(features: RequestFeatures) -> tuple[str, str]:
    """Return the keys of what is calibrated together: a client's requests, and those to one model."""
    client = features.client[:MOST_LEARNT_NAME]
    return client, f"{client}\n{features.model[:MOST_LEARNT_NAME]}"
