"""What metrics make of requests: arrivals by the second, token rates by window, latencies of a minute.

Everything is counted when it happens and shown no earlier: whoever asks says for which moment.
"""

from collections import deque

import numpy as np
from presage_policies.forecasting import TokenSeries
from presage_policies.scaling import ArrivalSignal, InstanceSignal, LatencySignal

from presage_simulator.fleet import Fleet
from presage_simulator.kernel.loop import SIGNALS
from presage_simulator.kernel.state import Records
from presage_simulator.workload import Floats, Ints

BINS = 120  # seconds of arrivals that are shown
RECENT_SECONDS = 60.0  # latencies and rates are of so long
LENGTHS_SECONDS = 600  # mean lengths are of so long
SERVED = SIGNALS.index("prompt_served")  # from here on signals are totals


class Arrivals:
    """Arrivals by the second and demand by window, after a given history that ends at 0."""

    def __init__(self, history: TokenSeries) -> None:
        if history.end != 0.0:
            raise ValueError(f"the history ends at {history.end}: let it end at 0, where the workload begins")
        self._history = history
        self._seconds = np.zeros((3, 1024))
        self._windows = np.zeros((2, 64))

    def expect(self, at: Floats, prompt_tokens: Ints, predicted: Floats) -> None:
        """Count requests that arrive at `at`, which may lie ahead."""
        if len(at) == 0:
            return
        window = self._history.window_seconds
        self._seconds = _longer(self._seconds, int(at[-1]) + 1)
        self._windows = _longer(self._windows, int(at[-1] / window) + 1)
        bins, places = at.astype(np.int64), (at / window).astype(np.int64)
        tokens = (prompt_tokens.astype(np.float64), predicted)
        for row, weights in zip(self._seconds, (np.ones(len(at)), *tokens), strict=True):
            np.add.at(row, bins, weights)
        for row, weights in zip(self._windows, tokens, strict=True):
            np.add.at(row, places, weights)

    def signal(self, now: float) -> ArrivalSignal:
        """Return the last whole seconds before `now`."""
        last = int(now)
        self._seconds = _longer(self._seconds, last)
        bins = self._seconds[:, max(0, last - BINS) : last]
        return ArrivalSignal(1.0, bins[0].copy(), bins[1].copy(), bins[2].copy())

    def series(self, now: float) -> TokenSeries:
        """Return the rates of all windows that have ended by `now`, the history before them."""
        window = self._history.window_seconds
        ended = int(now / window)
        self._windows = _longer(self._windows, ended)
        rates = self._windows[:, :ended] / window
        return TokenSeries(
            window,
            ended * window,
            np.concatenate([self._history.prompt, rates[0]]),
            np.concatenate([self._history.output, rates[1]]),
        )

    def mean_lengths(self, now: float) -> tuple[float | None, float | None]:
        """Return mean prompt and predicted output tokens of the last ten minutes; None without a request."""
        last = int(now)
        requests, prompt, output = self._seconds[:, max(0, last - LENGTHS_SECONDS) : last].sum(axis=1)
        return (None, None) if requests == 0 else (prompt / requests, output / requests)


class Latencies:
    """Latencies of the last minute, measured and as bids promised them on arrival."""

    def __init__(self) -> None:
        self._ended: deque[Records] = deque()
        self._promised: deque[tuple[Floats, Floats]] = deque()

    def learn(self, ended: Records) -> None:
        """Take note of requests that have ended."""
        if len(ended):
            self._ended.append(ended)

    def expect(self, at: Floats, foreseen: Floats) -> None:
        """Take note of where the promises to requests that arrive next will stand, shape [requests, 2]."""
        self._promised.append((at, foreseen))

    def signal(self, now: float, fleet: Fleet) -> LatencySignal:
        """Return what is known at `now`."""
        since = now - RECENT_SECONDS
        self._forget(since)
        ttft, tpot = self._measured(since, fleet)
        promised = [foreseen[(at > since) & (at <= now)] for at, foreseen in self._promised]
        foreseen = np.concatenate(promised) if promised else np.zeros((0, 2))
        return LatencySignal(
            RECENT_SECONDS, _p90(ttft), _p90(tpot), _p90(foreseen[:, 0]), _p90(foreseen[:, 1])
        )

    def _forget(self, since: float) -> None:
        while self._ended and np.nanmax(self._ended[0]["finished"], initial=0.0) <= since:
            self._ended.popleft()
        while self._promised and self._promised[0][0][-1] <= since:
            self._promised.popleft()

    def _measured(self, since: float, fleet: Fleet) -> tuple[Floats, Floats]:
        """Return TTFTs of first tokens, and TPOTs of whole responses, that came after `since`."""
        arrived, first = fleet.first_tokens()
        inside = (first - arrived)[first > since]
        if not self._ended:
            return inside, np.zeros(0)
        ended = np.concatenate(self._ended)
        begun = ended[ended["first"] > since]
        whole = ended[(ended["finished"] > since) & (ended["output"] > 1)]
        ttft = np.concatenate([inside, begun["first"] - begun["arrived"]])
        return ttft, (whole["finished"] - whole["first"]) / (whole["output"] - 1)


class Rates:
    """What each instance has served in the last minute: differences of totals between scrapes."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, dict[int, Floats]]] = deque()

    def signals(self, now: float, numbers: Ints, metrics: Floats, ready: Ints) -> tuple[InstanceSignal, ...]:
        """Return the instances' signals of a scrape at `now`; `metrics` has the columns of `SIGNALS`."""
        totals = {int(number): row[SERVED:] for number, row in zip(numbers, metrics, strict=True)}
        while len(self._past) > 1 and self._past[1][0] <= now - RECENT_SECONDS:
            self._past.popleft()
        began, before = self._past[0] if self._past else (0.0, {})
        self._past.append((now, totals))
        seconds = max(now - began, 1e-9)
        serving = set(ready.tolist())
        return tuple(
            _signal(
                int(number), int(number) in serving, row, row[SERVED:] - before.get(int(number), 0.0), seconds
            )
            for number, row in zip(numbers, metrics, strict=True)
        )


def _signal(number: int, ready: bool, row: Floats, gained: Floats, seconds: float) -> InstanceSignal:
    prompt, output, finished, met = (float(gain) for gain in gained)
    known = dict(zip(SIGNALS[:SERVED], (float(value) for value in row), strict=False))
    return InstanceSignal(
        name=f"pod-{number:04d}",
        ready=ready,
        prompt_rate=prompt / seconds,
        output_rate=output / seconds,
        finished=finished,
        slo_met=met / finished if finished else None,
        **known,
    )


def _p90(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.percentile(known, 90)) if len(known) else None


def _longer(rows: Floats, columns: int) -> Floats:
    if columns <= rows.shape[1]:
        return rows
    longer = np.zeros((len(rows), max(columns, 2 * rows.shape[1])))
    longer[:, : rows.shape[1]] = rows
    return longer
