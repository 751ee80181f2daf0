"""Response lengths from history: what a client's recent responses had, in bounded memory.

The tier that needs no model: it is also what a late or failed prediction falls back to. (Ours.)

A prediction is asked for with every request and hardly moves from one response to the next, so it is
kept while at most `STALENESS` of the responses behind it are new.
"""

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from presage_policies.lengths import WIRE_LEVELS, LengthDistribution, RequestFeatures

from presage_predictors.prior import PRIOR

CLIENT_SAMPLES = 200  # the most recent responses of a client that count
SHARED_SAMPLES = 2000  # and of all clients together
MAX_CLIENTS = 4096  # the least recently seen client is forgotten first
SHARED_WEIGHT = 8.0  # all clients count as much as so many of the client's own responses
PRIOR_WEIGHT = 4.0  # and the prior as much as so many responses of all
STALENESS = 0.02  # of a client's last 200 responses 4 may be unheard of, of fewer than 50 none
MOST_CAPS = 16  # a prediction is kept at so many values of `max_tokens`


class RecentLengths:
    """The last responses' lengths, kept both in order of arrival and sorted."""

    def __init__(self, limit: int) -> None:
        self._arrived: deque[float] = deque()
        self._sorted: list[float] = []
        self._limit = limit
        self.observed = 0  # ever, those that are forgotten too

    def __len__(self) -> int:
        return len(self._arrived)

    def add(self, tokens: float) -> None:
        """Add a length in tokens; the oldest beyond the limit goes."""
        self.observed += 1
        self._arrived.append(tokens)
        insort(self._sorted, tokens)
        if len(self._arrived) > self._limit:
            del self._sorted[bisect_left(self._sorted, self._arrived.popleft())]

    def quantile(self, level: float) -> float:
        """Return the empirical quantile (linear between order statistics); there must be a sample."""
        position = level * (len(self._sorted) - 1)
        low = int(position)
        high = min(low + 1, len(self._sorted) - 1)
        return self._sorted[low] + (self._sorted[high] - self._sorted[low]) * (position - low)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A prediction at each cap asked for, and what had been observed when it was made."""

    whole: LengthDistribution
    own_observed: int
    shared_observed: int
    capped: dict[int, LengthDistribution] = field(default_factory=dict)

    def at(self, max_tokens: int | None) -> LengthDistribution:
        """Return the prediction cut at `max_tokens`."""
        if max_tokens is None:
            return self.whole
        found = self.capped.get(max_tokens)
        if found is None:
            found = self.whole.capped(max_tokens)
            if len(self.capped) < MOST_CAPS:
                self.capped[max_tokens] = found
        return found


@dataclass(slots=True)
class _Client:
    """A client's recent lengths, and the prediction that was made of them."""

    lengths: RecentLengths = field(default_factory=lambda: RecentLengths(CLIENT_SAMPLES))
    kept: _Kept | None = None


class HistoryLengthPredictor:
    """Quantiles of the client's recent responses, drawn towards all clients' while they are few.

    Quantile functions are averaged level by level, weighted by how many responses stand behind each. What
    is predicted lacks at most `STALENESS` of the client's and of all clients' remembered responses.
    """

    def __init__(self, prior: LengthDistribution = PRIOR) -> None:
        self._prior = tuple(prior.quantile(level) for level in WIRE_LEVELS)
        self._shared = RecentLengths(SHARED_SAMPLES)
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._stranger = _Client()

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the distribution of output tokens, cut at the request's `max_tokens`."""
        client = self._clients.get(features.client, self._stranger)
        kept = client.kept
        if kept is None or self._outdated(kept, client.lengths):
            kept = client.kept = self._made(client.lengths)
        return kept.at(features.max_tokens)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn the length of a whole response; a response without a token says nothing."""
        if output_tokens < 1:
            return
        client = self._clients.get(features.client)
        if client is None:
            client = self._clients[features.client] = _Client()
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(features.client)
        client.lengths.add(float(output_tokens))
        self._shared.add(float(output_tokens))

    def _outdated(self, kept: _Kept, own: RecentLengths) -> bool:
        shared = self._shared
        return own.observed - kept.own_observed > STALENESS * len(
            own
        ) or shared.observed - kept.shared_observed > STALENESS * len(shared)

    def _made(self, own: RecentLengths) -> _Kept:
        tokens = tuple(
            self._blended(own, level, prior) for level, prior in zip(WIRE_LEVELS, self._prior, strict=True)
        )
        return _Kept(LengthDistribution(WIRE_LEVELS, tokens), own.observed, self._shared.observed)

    def _blended(self, own: RecentLengths, level: float, prior: float) -> float:
        shared = prior
        if len(self._shared) > 0:
            weight = len(self._shared) / (len(self._shared) + PRIOR_WEIGHT)
            shared += weight * (self._shared.quantile(level) - shared)
        if len(own) == 0:
            return shared
        weight = len(own) / (len(own) + SHARED_WEIGHT)
        return shared + weight * (own.quantile(level) - shared)
