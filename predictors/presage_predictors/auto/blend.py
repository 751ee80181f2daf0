"""Who is believed: forecasts weighed by how they have done lately, for each series and step ahead.

Exponentiated gradient on the absolute error (Kivinen and Warmuth 1997), which does about as well as the best
fixed mixture in hindsight, with a memory that fades, so that a series may change its nature. What is said h
windows ahead is judged h windows later, so the rate falls with the root of h (Joulani et al. 2013, on delayed
feedback). A new service starts from a prior belief. Errors are in units of the series' recent error. (Memory
and units: ours; rate and memory were chosen on 58 to 75 % of each recording, which no figure counts.)
"""

import numpy as np
from numpy.typing import NDArray

from presage_predictors.panel.pending import Pending

Floats = NDArray[np.float64]

RATE = 0.3  # how fast a mixture moves, one window ahead
MEMORY = 72.0  # windows after which what was seen counts a third
LARGEST = 4.0  # units: a wilder miss moves the mixture no more


class Blend:
    """Mixtures of forecasts, [rows, models, ahead]."""

    def __init__(self, rows: int, prior: Floats, ahead: NDArray[np.int64]) -> None:
        self._prior = np.log(prior)[None, :, None]
        self._rate = RATE / np.sqrt(ahead)
        self._regret = np.zeros((rows, len(prior), len(ahead)))
        self._pending = Pending(rows, len(prior) + 2, ahead)  # models, their mixture, the unit

    @property
    def shares(self) -> Floats:
        """Return each model's share now, [rows, models, ahead]; a row's step sums to 1."""
        liking = self._prior - self._rate * self._regret
        share = np.exp(liking - liking.max(axis=1, keepdims=True))
        return np.asarray(share / share.sum(axis=1, keepdims=True), dtype=np.float64)

    def judge(self, values: Floats) -> None:
        """Compare the newest window, shape [rows], with what had been said of it; NaN says nothing."""
        due = self._pending.due()
        said, mixture, unit = due[:, :-2], due[:, -2:-1], due[:, -1:]
        over = np.sign(mixture - values[:, None, None])
        gradient = np.clip(over * (said - mixture) / unit, -LARGEST, LARGEST)
        known = np.isfinite(gradient)
        self._regret = np.where(known, (1 - 1 / MEMORY) * self._regret + gradient, self._regret)

    def mix(self, said: Floats, unit: Floats) -> Floats:
        """Return the mixture [rows, ahead] of what the models say, [rows, models, ahead]."""
        mixture = (self.shares * said).sum(axis=1)
        self._pending.add(np.concatenate([said, mixture[:, None], unit[:, None]], axis=1))
        return np.asarray(mixture, dtype=np.float64)
