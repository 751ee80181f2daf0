"""Length sources: what predicts the response lengths of simulated requests, bounds included.

A source is the only thing beside the engines that is given lengths: bounds (oracle, noisy oracle, mean)
read them, the learning one is told those of responses that have ended.
"""

from dataclasses import dataclass

import numpy as np
from presage_policies.lengths import PRIOR, WIRE_LEVELS

from presage_simulator.systems import Quantiles
from presage_simulator.workload import Floats, Ints, Workload

LEVELS = np.array(WIRE_LEVELS)
NORMAL = np.array([-1.6448536, -1.2815516, -0.6744898, 0.0, 0.6744898, 1.2815516, 1.6448536, 2.3263479])
CLIENT_SAMPLES, SHARED_SAMPLES = 200, 2000  # these and what follows: as the live history predictor has them
SHARED_WEIGHT, PRIOR_WEIGHT, STALENESS = 8.0, 4.0, 0.02
USUAL = np.array(PRIOR.tokens)
GRAIN = 64.0  # means are whole 64ths of a token: sums of them are exact, however they are added


def mean_tokens(quantiles: Quantiles) -> Floats:
    """Return the expected tokens of each row of quantiles, by the law of LengthDistribution."""
    steps = np.diff(LEVELS)
    weights = np.zeros(len(LEVELS))
    weights[:-1] += steps / 2
    weights[1:] += steps / 2
    weights[0] += LEVELS[0]
    weights[-1] += 1 - LEVELS[-1]
    means: Floats = np.round(quantiles.astype(np.float64) @ weights * GRAIN) / GRAIN
    return means


class OracleLengths:
    """The truth: the bound for every predictor."""

    learns = False

    def prepare(self, workload: Workload, seed: int) -> None:  # noqa: ARG002 - the protocol's
        """Take the true lengths."""
        self._output = workload.output_tokens

    def predict(self, first: int, last: int) -> Quantiles:
        """Return the true lengths at every level."""
        return np.repeat(self._output[first:last, None], len(WIRE_LEVELS), axis=1).astype(np.float32)

    def observe(self, indices: Ints, output_tokens: Ints) -> None:
        """Learn nothing."""


class NoisyOracleLengths:
    """The truth times a lognormal error of median 1; quantiles spread by the same sigma."""

    learns = False

    def __init__(self, sigma: float) -> None:
        if not sigma >= 0:
            raise ValueError(f"sigma is {sigma!r}: give 0 or more")
        self._sigma = sigma

    def prepare(self, workload: Workload, seed: int) -> None:
        """Draw an error for every request."""
        error = np.random.default_rng([seed, 0x4E]).standard_normal(len(workload))
        self._centre = workload.output_tokens * np.exp(self._sigma * error)

    def predict(self, first: int, last: int) -> Quantiles:
        """Return lognormal quantiles around the erring length, at least 1 token."""
        spread = np.exp(self._sigma * NORMAL)
        return np.maximum(1.0, self._centre[first:last, None] * spread).astype(np.float32)

    def observe(self, indices: Ints, output_tokens: Ints) -> None:
        """Learn nothing."""


class MeanLengths:
    """The mean of the request's class over the whole workload: what no predictor should lose to."""

    learns = False

    def prepare(self, workload: Workload, seed: int) -> None:  # noqa: ARG002 - the protocol's
        """Take each class's mean."""
        count = np.maximum(1, np.bincount(workload.klass, minlength=len(workload.classes)))
        total = np.bincount(workload.klass, workload.output_tokens, minlength=len(workload.classes))
        self._mean = np.maximum(1.0, total / count)[workload.klass]

    def predict(self, first: int, last: int) -> Quantiles:
        """Return the class's mean at every level."""
        return np.repeat(self._mean[first:last, None], len(WIRE_LEVELS), axis=1).astype(np.float32)

    def observe(self, indices: Ints, output_tokens: Ints) -> None:
        """Learn nothing."""


class PriorLengths:
    """The same usual lengths for every request: no prediction, as the live `Prior` has it."""

    learns = False

    def prepare(self, workload: Workload, seed: int) -> None:
        """Take nothing."""

    def predict(self, first: int, last: int) -> Quantiles:
        """Return the usual quantiles for each request."""
        return np.tile(USUAL, (last - first, 1)).astype(np.float32)

    def observe(self, indices: Ints, output_tokens: Ints) -> None:
        """Learn nothing."""


@dataclass(slots=True)
class _Recent:
    """The last lengths of a client, or of all; `kept` quantiles were made when `seen` were known."""

    lengths: Floats
    observed: int = 0
    kept: Floats | None = None
    own_seen: int = 0
    shared_seen: int = 0

    def add(self, tokens: Ints) -> None:
        """Add lengths in order; the oldest beyond the limit go."""
        limit = len(self.lengths)
        last = tokens[-limit:]
        begin = self.observed + len(tokens) - len(last)
        self.lengths[(begin + np.arange(len(last))) % limit] = last
        self.observed += len(tokens)

    @property
    def count(self) -> int:
        """How many are remembered."""
        return min(self.observed, len(self.lengths))

    def quantiles(self) -> Floats:
        """Return the empirical quantiles at the wire's levels; there must be a sample."""
        quantiles: Floats = np.quantile(self.lengths[: self.count], LEVELS)
        return quantiles


class HistoryLengths:
    """The law of the live history predictor, for many requests at once.

    Quantiles of the client's last responses, drawn towards those of all clients while they are few, and
    these towards a prior; kept until more than 2 % of the responses behind them are new.
    """

    learns = True

    def prepare(self, workload: Workload, seed: int) -> None:  # noqa: ARG002 - the protocol's
        """Forget everything."""
        self._client = workload.client
        self._clients: dict[int, _Recent] = {}
        self._shared = _Recent(np.zeros(SHARED_SAMPLES))
        self._stranger = _Recent(np.zeros(1))

    def predict(self, first: int, last: int) -> Quantiles:
        """Return each request's client's quantiles."""
        clients, rows = np.unique(self._client[first:last], return_inverse=True)
        made = [self._of(self._clients.get(int(client), self._stranger)) for client in clients]
        quantiles: Quantiles = np.array(made, dtype=np.float32).reshape(-1, len(WIRE_LEVELS))[rows]
        return quantiles

    def observe(self, indices: Ints, output_tokens: Ints) -> None:
        """Learn the lengths of responses in the order in which they ended."""
        if len(indices) == 0:
            return
        self._shared.add(output_tokens)
        clients = self._client[indices]
        order = np.argsort(clients, kind="stable")
        begins = np.flatnonzero(np.diff(clients[order], prepend=-1))
        for client, group in zip(
            clients[order][begins], np.split(output_tokens[order], begins[1:]), strict=True
        ):
            known = self._clients.get(int(client))
            if known is None:
                known = self._clients[int(client)] = _Recent(np.zeros(CLIENT_SAMPLES))
            known.add(group)

    def _of(self, own: _Recent) -> Floats:
        shared = self._shared
        if (
            own.kept is None
            or own.observed - own.own_seen > STALENESS * own.count
            or shared.observed - own.shared_seen > STALENESS * shared.count
        ):
            own.kept = self._blended(own)
            own.own_seen, own.shared_seen = own.observed, shared.observed
        return own.kept

    def _blended(self, own: _Recent) -> Floats:
        tokens = USUAL
        for recent, weight in ((self._shared, PRIOR_WEIGHT), (own, SHARED_WEIGHT)):
            if recent.count > 0:
                tokens = tokens + recent.count / (recent.count + weight) * (recent.quantiles() - tokens)
        return tokens
