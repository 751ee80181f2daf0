"""Response lengths from history: what recent responses to like requests had, in bounded memory.

The tier that needs no model: it is also what a late or failed prediction falls back to. A request belongs to
series from the general to the special: all requests, those to its model, those of its client to that model,
the ones among them with a cap of that size and made in that manner, the ones of its session. (Ours.)

A prediction is asked for with every request and hardly moves from one response to the next, so it is
kept while at most `STALENESS` of the responses behind it are new.
"""

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from presage_policies.lengths import PRIOR, WIRE_LEVELS, LengthDistribution, RequestFeatures

SAMPLES = 200  # the most recent responses of a client that count, and of what is more special
SHARED_SAMPLES = 2000  # and of all clients together
MOST_SERIES = 4096  # the one not learnt from for longest is forgotten first
GENERAL_WEIGHT = 8.0  # a more general series counts as much as so many of a series' own responses
PRIOR_WEIGHT = 4.0  # and the prior as much as so many responses of all
STALENESS = 0.02  # of a series' last 200 responses 4 may be unheard of, of fewer than 50 none
MOST_CAPS = 16  # a prediction is kept at so many caps
LONGEST_NAME = 256  # characters of a client's, model's or session's name that tell it from others

_Key = tuple[str | int, ...]


class RecentLengths:
    """The last responses' lengths, kept both in order of arrival and sorted."""

    def __init__(self, limit: int) -> None:
        self._arrived: deque[float] = deque()
        self._sorted: list[float] = []
        self._limit = limit
        self.observed = 0  # ever, those that are forgotten too

    def __len__(self) -> int:
        return len(self._arrived)

    @property
    def scope(self) -> tuple[int, int]:
        """How many were observed and how many are remembered: alike for a part that is the whole."""
        return self.observed, len(self._arrived)

    def add(self, tokens: float) -> None:
        """Add a length in tokens; the oldest beyond the limit goes."""
        self.observed += 1
        self._arrived.append(tokens)
        insort(self._sorted, tokens)
        if len(self._arrived) > self._limit:
            del self._sorted[bisect_left(self._sorted, self._arrived.popleft())]

    def quantiles(self, levels: tuple[float, ...]) -> list[float]:
        """Return empirical quantiles (linear between order statistics); there must be a sample."""
        ordered, last = self._sorted, len(self._sorted) - 1
        found = []
        for level in levels:
            position = level * last
            low = int(position)
            below = ordered[low]
            found.append(below + (ordered[min(low + 1, last)] - below) * (position - low))
        return found


@dataclass(frozen=True, slots=True)
class _Kept:
    """A prediction at each cap asked for, and what had been observed of each series when it was made."""

    whole: LengthDistribution
    observed: tuple[int, ...]
    capped: dict[int, LengthDistribution] = field(default_factory=dict)

    def at(self, cap: int | None) -> LengthDistribution:
        """Return the prediction cut at `cap`."""
        if cap is None or cap >= self.whole.tokens[-1]:
            return self.whole
        found = self.capped.get(cap)
        if found is None:
            found = self.whole.capped(cap)
            if len(self.capped) < MOST_CAPS:
                self.capped[cap] = found
        return found


@dataclass(slots=True)
class _Series:
    """Recent lengths of like requests, and the prediction that was made where this is the most special."""

    lengths: RecentLengths
    kept: _Kept | None = None


class HistoryLengthPredictor:
    """Quantiles of a request's most special series, drawn towards the more general ones while it is young.

    Quantile functions are averaged level by level, weighted by how many responses stand behind each. What
    is predicted lacks at most `STALENESS` of the responses that each series remembers.
    """

    def __init__(self, prior: LengthDistribution = PRIOR) -> None:
        self._prior = tuple(prior.quantile(level) for level in WIRE_LEVELS)
        self._all = _Series(RecentLengths(SHARED_SAMPLES))
        self._special: OrderedDict[_Key, _Series] = OrderedDict()

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the distribution of output tokens, cut at the request's cap."""
        chain = self._chain(features)
        kept = chain[-1].kept
        if kept is None or _outdated(kept, chain):
            kept = chain[-1].kept = self._made(chain)
        return kept.at(features.cap)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn the length of a whole response; a response without a token says nothing."""
        if output_tokens < 1:
            return
        self._all.lengths.add(float(output_tokens))
        for key in reversed(_keys(features)):  # the general ones last: they are forgotten after the special
            series = self._special.get(key)
            if series is None:
                series = self._special[key] = _Series(RecentLengths(_limit(key)))
            self._special.move_to_end(key)
            series.lengths.add(float(output_tokens))
        while len(self._special) > MOST_SERIES:
            self._special.popitem(last=False)

    def shares(self, features: RequestFeatures) -> dict[str, float]:
        """Return that only history has a say."""
        del features
        return {"history": 1.0}

    def _chain(self, features: RequestFeatures) -> list[_Series]:
        """Return the request's series, without those that hold just what the one before holds."""
        chain = [self._all]
        for key in _keys(features):
            series = self._special.get(key)
            if series is not None and series.lengths.scope != chain[-1].lengths.scope:
                chain.append(series)
        return chain

    def _made(self, chain: list[_Series]) -> _Kept:
        """Draw the series towards each other, the most general one towards the prior."""
        tokens, weight = self._prior, PRIOR_WEIGHT
        for series in chain:
            count = len(series.lengths)
            if count:
                own, share = series.lengths.quantiles(WIRE_LEVELS), count / (count + weight)
                tokens = tuple([t + share * (o - t) for t, o in zip(tokens, own, strict=True)])
            weight = GENERAL_WEIGHT
        return _Kept(LengthDistribution(WIRE_LEVELS, tokens), tuple([s.lengths.observed for s in chain]))


def _keys(features: RequestFeatures) -> tuple[_Key, ...]:
    """Return the series that a request belongs to beside that of all, from the general to the special."""
    client, model = features.client[:LONGEST_NAME], features.model[:LONGEST_NAME]
    cap = 0 if features.max_tokens is None else features.max_tokens.bit_length()
    keys: tuple[_Key, ...] = (
        ("model", model),
        ("client", model, client),
        ("manner", model, client, cap, features.manner),
    )
    if features.session:
        keys += (("session", model, client, cap, features.manner, features.session[:LONGEST_NAME]),)
    return keys


def _limit(key: _Key) -> int:
    return SHARED_SAMPLES if key[0] == "model" else SAMPLES


def _outdated(kept: _Kept, chain: list[_Series]) -> bool:
    """Tell whether too much was observed of one of the series since the prediction was made of them."""
    if len(chain) != len(kept.observed):
        return True
    for series, known in zip(chain, kept.observed, strict=True):
        lengths = series.lengths
        if lengths.observed - known > STALENESS * len(lengths):
            return True
    return False
