"""The models' side of a prediction: vectors of models seen in training, and where unknown ones begin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presage_predictors.lengths.beliefs import Belief
from presage_predictors.lengths.law import RANK, SCORES, Vector
from presage_predictors.lengths.names import name_grams, name_key


@dataclass(frozen=True)
class Sides:
    """Vectors by model, and the priors of what is learnt online; arrays are float32 unless said.

    `known` [models, SIDE] stands in the order of `names`; `from_name` [NAME_ROWS, SIDE] and `middle` [SIDE]
    give an unknown model's vector. `unknown_covariance`, `known_covariance` and `client_covariance`
    [RANK, RANK] say how far a model's or a client's vector may lie from where it begins. `scores` [levels]
    are the normal scores at which training found that laws have to be read.
    """

    names: tuple[str, ...]
    known: NDArray[np.float32]
    from_name: NDArray[np.float32]
    middle: NDArray[np.float32]
    unknown_covariance: NDArray[np.float32]
    known_covariance: NDArray[np.float32]
    client_covariance: NDArray[np.float32]
    scores: NDArray[np.float32]

    def book(self) -> "SideBook":
        """Return the lookup that predictions use."""
        return SideBook(self)


class SideBook:
    """Finds a model's vector and priors by its name."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._rows = {name: row for row, name in enumerate(sides.names)}
        zero = np.zeros(RANK)
        self._known = Belief(zero, sides.known_covariance.astype(float))
        self._unknown = Belief(zero, sides.unknown_covariance.astype(float))
        self.client = Belief(zero, sides.client_covariance.astype(float))
        self.scores = sides.scores.astype(float) if len(sides.scores) else SCORES
        self._seen: dict[str, tuple[Vector, Belief]] = {}

    def of(self, model: str) -> tuple[Vector, Belief]:
        """Return the vector (SIDE) that a model begins with, and the prior of its deviation."""
        found = self._seen.get(model)
        if found is None:
            found = self._found(name_key(model))
            if len(self._seen) < _MOST_SEEN:
                self._seen[model] = found
        return found

    def _found(self, key: str) -> tuple[Vector, Belief]:
        row = self._rows.get(key)
        if row is not None:
            return self._sides.known[row].astype(float), self._known
        return self._sides.middle.astype(float) + name_grams(key) @ self._sides.from_name, self._unknown


_MOST_SEEN = 4096  # names whose vectors are kept ready
