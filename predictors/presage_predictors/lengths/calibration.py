"""Coverage kept honest online: where recent responses fell in the laws predicted for them.

Each finished request says at which normal score of its law it lay. A law whose scores are normal tells the
truth; where they are not, the next laws are read at the scores that recent responses had. (Ours; in the
spirit of conformal prediction with a running set of scores.)
"""

from bisect import bisect_left, insort
from collections import OrderedDict, deque

import numpy as np
from presage_policies.lengths import WIRE_LEVELS

from presage_predictors.lengths.law import SCORES, Vector

KEPT_SCORES = 400  # the most recent of a key that count
PRIOR_WEIGHT = 20.0  # what a key's scores are drawn towards counts as so many of its own
MOST_KEYS = 2048


class _Scores:
    """The last scores of one key, in order of arrival and sorted."""

    def __init__(self) -> None:
        self._arrived: deque[float] = deque()
        self._sorted: list[float] = []
        self._drawn: tuple[Vector, Vector] | None = None  # the prior last drawn to, and the result

    def add(self, score: float) -> None:
        self._arrived.append(score)
        insort(self._sorted, score)
        self._drawn = None
        if len(self._arrived) > KEPT_SCORES:
            del self._sorted[bisect_left(self._sorted, self._arrived.popleft())]

    def drawn_to(self, prior: Vector) -> Vector:
        """Return own quantiles at `WIRE_LEVELS` averaged with the prior's, weighted by counts."""
        if self._drawn is not None and self._drawn[0] is prior:
            return self._drawn[1]
        count = len(self._sorted)
        own = np.array([self._quantile(level) for level in WIRE_LEVELS])
        drawn: Vector = (count * own + PRIOR_WEIGHT * prior) / (count + PRIOR_WEIGHT)
        self._drawn = (prior, drawn)
        return drawn

    def _quantile(self, level: float) -> float:
        # As in split conformal prediction a new score has n + 1 places among n, which widens small samples.
        last = len(self._sorted) - 1
        place = min(max(level * (last + 2) - 1, 0.0), float(last))
        low = int(place)
        high = min(low + 1, last)
        return self._sorted[low] + (self._sorted[high] - self._sorted[low]) * (place - low)


class Calibration:
    """Scores to read laws at, by keys from the general to the special, in bounded memory.

    A special key's scores are drawn towards those of the key before it, the first one's towards the prior.
    """

    def __init__(self, prior: Vector = SCORES) -> None:
        self._prior = prior
        self._kept: OrderedDict[str, _Scores] = OrderedDict()

    def scores(self, keys: tuple[str, ...]) -> Vector:
        """Return the normal scores at which the law of a request under these keys is to be read."""
        found = self._prior
        for key in keys:
            kept = self._kept.get(key)
            if kept is not None:
                found = kept.drawn_to(found)
        return found

    def observe(self, keys: tuple[str, ...], score: float) -> None:
        """Learn the score that a response had in the law before calibration."""
        for key in keys:
            kept = self._kept.get(key)
            if kept is None:
                kept = self._kept[key] = _Scores()
                if len(self._kept) > MOST_KEYS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            kept.add(score)
