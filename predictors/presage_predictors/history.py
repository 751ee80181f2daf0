"""Response lengths from history: what a client's recent responses had, in bounded memory.

The tier that needs no model: it is also what a late or failed prediction falls back to. (Ours.)
"""

from bisect import bisect_left, insort
from collections import OrderedDict, deque

from presage_policies.lengths import WIRE_LEVELS, LengthDistribution, RequestFeatures

CLIENT_SAMPLES = 200  # the most recent responses of a client that count
SHARED_SAMPLES = 2000  # and of all clients together
MAX_CLIENTS = 4096  # the least recently seen client is forgotten first
SHARED_WEIGHT = 8.0  # all clients count as much as so many of the client's own responses
PRIOR_WEIGHT = 4.0  # and the prior as much as so many responses of all
PRIOR = LengthDistribution(WIRE_LEVELS, (8.0, 16.0, 60.0, 180.0, 400.0, 700.0, 1000.0, 2000.0))


class RecentLengths:
    """The last responses' lengths, kept both in order of arrival and sorted."""

    def __init__(self, limit: int) -> None:
        self._arrived: deque[float] = deque()
        self._sorted: list[float] = []
        self._limit = limit

    def __len__(self) -> int:
        return len(self._arrived)

    def add(self, tokens: float) -> None:
        """Add a length in tokens; the oldest beyond the limit goes."""
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


class HistoryLengthPredictor:
    """Quantiles of the client's recent responses, drawn towards all clients' while they are few.

    Quantile functions are averaged level by level, weighted by how many responses stand behind each.
    """

    def __init__(self, prior: LengthDistribution = PRIOR) -> None:
        self._prior = prior
        self._shared = RecentLengths(SHARED_SAMPLES)
        self._clients: OrderedDict[str, RecentLengths] = OrderedDict()

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the distribution of output tokens, cut at the request's `max_tokens`."""
        own = self._clients.get(features.client)
        tokens = [self._blended(own, level) for level in WIRE_LEVELS]
        return LengthDistribution(WIRE_LEVELS, tuple(tokens)).capped(features.max_tokens)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn the length of a whole response; a response without a token says nothing."""
        if output_tokens < 1:
            return
        own = self._clients.get(features.client)
        if own is None:
            own = self._clients[features.client] = RecentLengths(CLIENT_SAMPLES)
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(features.client)
        own.add(float(output_tokens))
        self._shared.add(float(output_tokens))

    def _blended(self, own: RecentLengths | None, level: float) -> float:
        shared = self._prior.quantile(level)
        if len(self._shared) > 0:
            weight = len(self._shared) / (len(self._shared) + PRIOR_WEIGHT)
            shared += weight * (self._shared.quantile(level) - shared)
        if own is None:
            return shared
        weight = len(own) / (len(own) + SHARED_WEIGHT)
        return shared + weight * (own.quantile(level) - shared)
