"""What has been learnt online of each model and each client: Gaussian beliefs about their vectors.

A response's log length is linear in the vectors, so each finished request is one step of Bayesian linear
regression in closed form. A model's and a client's deviations share what a request surprises by in
proportion to how little is known of either (a Kalman filter whose blocks are kept apart); surprises are
bounded, so that one odd response does not carry a model away. (Ours.)
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from presage_predictors.lengths.law import Vector

MOST_KEPT = 2048  # beliefs; the one not learnt from for longest is forgotten
LARGEST_SURPRISE = 2.5  # standard deviations; what is beyond counts as so much


@dataclass(slots=True)
class Belief:
    """Mean and covariance of a vector's deviation from where it began."""

    mean: Vector
    covariance: Vector


class Beliefs:
    """Beliefs under keys, in bounded memory; what was never learnt has the prior it is asked with."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Belief] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def under(self, key: str, prior: Belief) -> Belief:
        """Return the belief under a key, or the prior (not to be changed)."""
        return self._kept.get(key, prior)

    def to_learn(self, key: str, prior: Belief) -> Belief:
        """Return the belief under a key to be changed; it begins as a copy of the prior."""
        belief = self._kept.get(key)
        if belief is None:
            belief = self._kept[key] = Belief(prior.mean.copy(), prior.covariance.copy())
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return belief


def learn(beliefs: tuple[Belief, ...], x: Vector, surprise: float, noise: float) -> None:
    """Share a surprise (log tokens beyond what was expected) among beliefs; `noise` is its variance."""
    gains = [belief.covariance @ x for belief in beliefs]
    total = noise + sum(float(x @ gain) for gain in gains)
    bound = LARGEST_SURPRISE * float(np.sqrt(total))
    surprise = min(max(surprise, -bound), bound)
    for belief, gain in zip(beliefs, gains, strict=True):
        belief.mean += gain * (surprise / total)
        belief.covariance -= np.outer(gain, gain) / total
