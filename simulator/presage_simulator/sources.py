"""From a scenario's workload to requests: recorded or drawn, and the history that precedes them.

Deterministic in the seed, and the same for every system: what systems are compared on are the very same
requests (common random numbers). Classes, lengths and instants have streams of their own.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from presage_policies.forecasting import TokenSeries
from presage_policies.objectives import Objectives

from presage_simulator.arrival_processes import instants
from presage_simulator.data import Tables
from presage_simulator.length_draws import around, drawn, mean_tokens
from presage_simulator.scenario import ClassSpec, ObjectivesSpec, Scenario, ScenarioError, WorkloadSpec
from presage_simulator.workload import PrefixBlocks, SLOClass, Workload

Floats = NDArray[np.float64]

THOUSAND = 1000.0
EDGE = 1e-9  # a slice of exactly n windows has n, whatever floats make of it
UNITS = {"RequestsPerSecond": 1.0, "RequestsPerMinute": 1 / 60}
CLIENT_COLUMNS = ("client", "user_id", "session_id")
STREAMS = {"instants": 0, "lengths": 1, "classes": 2, "past instants": 3, "past lengths": 4}


@dataclass(frozen=True, slots=True)
class Load:
    """What one service meets: its requests, for how long (s), and the load that preceded them.

    `history` ends at second 0, where the requests begin.
    """

    workload: Workload
    seconds: float
    history: TokenSeries

    @property
    def demand(self) -> Floats:
        """Tokens (prompt and output) that arrive per second, one rate a window of the history's length."""
        window, requests = self.history.window_seconds, self.workload
        windows = int(np.ceil(self.seconds / window - EDGE))
        tokens = requests.prompt_tokens + requests.output_tokens
        index = np.minimum((requests.at // window).astype(np.int64), windows - 1)
        return np.bincount(index, tokens, windows) / window


@dataclass(frozen=True, slots=True)
class _Requests:
    """Requests of a part of a source: second of the source, tokens; shape [n] each."""

    at: Floats
    prompt: NDArray[np.int32]
    output: NDArray[np.int32]


def load_of(scenario: Scenario, workload: WorkloadSpec, tables: Tables, seed: int) -> Load:
    """Return a workload's requests and history. Raises ScenarioError when its data cannot serve."""
    source = _Source(workload, tables, seed)
    begin, end = workload.from_, source.end
    if not begin < end:
        raise ScenarioError(f"{workload.name}: from is {begin:g} s, but the source ends at {end:g} s")
    present = source.between(begin, end)
    speed = workload.rate_factor if workload.trace is not None else 1.0
    past = source.between(begin - workload.history, begin, past=True)
    return Load(
        _workload(scenario, workload, source, present, speed),
        (end - begin) / speed,
        _history(past, begin, workload.history, speed, scenario.window_seconds),
    )


def classes_of(scenario: Scenario, workload: WorkloadSpec) -> tuple[SLOClass, ...]:
    """Return a service's classes with their objectives."""
    own = scenario.objectives_of(workload)
    specs = workload.classes or scenario.classes or (ClassSpec(name="all"),)
    return tuple(
        SLOClass(each.name, objectives(each.objectives or own), each.deadline_seconds) for each in specs
    )


def objectives(spec: ObjectivesSpec) -> Objectives:
    """Return objectives in seconds."""
    return Objectives(spec.ttft_milliseconds / THOUSAND, spec.tpot_milliseconds / THOUSAND, spec.percentile)


class _Source:
    """One workload's source, read or drawn part by part."""

    def __init__(self, spec: WorkloadSpec, tables: Tables, seed: int) -> None:
        self.spec = spec
        self.tables = tables
        self._seed = seed

    def rng(self, stream: str) -> np.random.Generator:
        """Return the generator of one stream: a function of seed, service and stream."""
        return np.random.default_rng([self._seed, zlib.crc32(self.spec.name.encode()), STREAMS[stream]])

    @property
    def end(self) -> float:
        """Second at which the slice ends."""
        if self.spec.trace is not None:
            times = self.tables.column(self.spec.trace.path, self.spec.trace.time)
            last = float(np.nextafter(times[-1], np.inf)) if len(times) else 0.0
        else:
            last = float(self._rates()[0][-1])
        return last if self.spec.until is None else min(last, self.spec.until)

    def between(self, begin: float, end: float, *, past: bool = False) -> _Requests:
        """Return the requests of [begin, end) in seconds of the source."""
        if self.spec.trace is not None:
            return self._recorded(self.rows(begin, end))
        streams = ("past instants", "past lengths") if past else ("instants", "lengths")
        edges, rates = self._rates()
        inside = np.unique(np.clip(np.concatenate([[begin, end], edges]), begin, end))
        window = np.searchsorted(edges, inside[:-1], side="right") - 1
        at = instants(inside, rates[window] * self.spec.rate_factor, self.spec.process, self.rng(streams[0]))
        assert self.spec.lengths is not None
        if self.spec.recorded is not None:
            windows = np.searchsorted(edges, at, side="right") - 1
            sigma = self.spec.lengths.sigma or 0.0
            return _Requests(at, *around(self.spec.recorded, sigma, windows, self.rng(streams[1])))
        return _Requests(at, *drawn(self.spec.lengths, len(at), self.tables, self.rng(streams[1])))

    def rows(self, begin: float, end: float) -> slice:
        """Return the rows of a trace within [begin, end)."""
        assert self.spec.trace is not None
        times = self.tables.column(self.spec.trace.path, self.spec.trace.time)
        if (np.diff(times) < 0).any():
            raise ScenarioError(
                f"{self.spec.trace.path}: times must not fall from row to row; sort the table"
            )
        first, last = np.searchsorted(times, [begin, end])
        return slice(int(first), int(last))

    def _recorded(self, rows: slice) -> _Requests:
        assert self.spec.trace is not None
        path = self.spec.trace.path
        prompt, output = (self.tables.column(path, f"{kind}_tokens")[rows] for kind in ("prompt", "output"))
        return _Requests(
            self.tables.column(path, self.spec.trace.time)[rows],
            np.maximum(1, prompt).astype(np.int32),
            np.maximum(1, output).astype(np.int32),
        )

    def _rates(self) -> tuple[Floats, Floats]:
        """Return the windows' edges (s), shape [windows + 1], and their rates (requests/s)."""
        spec = self.spec
        if spec.stages is not None:
            seconds = [stage.seconds for stage in spec.stages]
            edges = np.concatenate([np.zeros(1), np.cumsum(seconds, dtype=np.float64)])
            return edges, np.array([stage.requests_per_second for stage in spec.stages])
        if spec.recorded is not None:
            rates = np.array(spec.recorded.requests_per_second)
            return np.arange(len(rates) + 1, dtype=np.float64) * spec.recorded.window_seconds, rates
        return self._series()

    def _series(self) -> tuple[Floats, Floats]:
        series = self.spec.series
        assert series is not None
        assert self.spec.lengths is not None
        starts = self.tables.column(series.path, series.time)
        rates = self.tables.column(series.path, series.column)
        steps = np.diff(starts)
        if len(steps) == 0 or steps[0] <= 0 or not np.allclose(steps, steps[0]):
            raise ScenarioError(
                f"{series.path}: {series.time} must rise in equal steps, over at least two rows"
            )
        if not (rates >= 0).all():
            raise ScenarioError(f"{series.path}: {series.column} must hold rates of 0 or more in every row")
        if series.unit == "TokensPerSecond":
            factor = 1 / mean_tokens(self.spec.lengths, self.tables)
        else:
            factor = UNITS[series.unit]
        return np.append(starts, starts[-1] + steps[0]), rates * factor


def _workload(
    scenario: Scenario, spec: WorkloadSpec, source: _Source, present: _Requests, speed: float
) -> Workload:
    classes = classes_of(scenario, spec)
    shares = np.array([each.share for each in spec.classes or scenario.classes or (ClassSpec(name="all"),)])
    count = len(present.at)
    klass = source.rng("classes").choice(len(classes), size=count, p=shares / shares.sum())
    return Workload(
        at=(present.at - spec.from_) / speed,
        prompt_tokens=present.prompt,
        output_tokens=present.output,
        klass=klass.astype(np.int16),
        client=_clients(source, count),
        classes=classes,
        prefix=_prefixes(source),
    )


def _clients(source: _Source, count: int) -> NDArray[np.int32]:
    """Return who sent each request, numbered from 0; one client where the source names none."""
    trace = source.spec.trace
    for column in CLIENT_COLUMNS if trace is not None else ():
        assert trace is not None
        named = source.tables.optional(trace.path, column)
        if named is not None:
            rows = source.rows(source.spec.from_, source.end)
            return np.unique(named[rows], return_inverse=True)[1].astype(np.int32)
    return np.zeros(count, dtype=np.int32)


def _prefixes(source: _Source) -> PrefixBlocks | None:
    trace = source.spec.trace
    lists = None if trace is None else source.tables.lists(trace.path, "hash_ids")
    if trace is None or lists is None:
        return None
    offsets, values = lists
    rows = source.rows(source.spec.from_, source.end)
    own = offsets[rows.start : rows.stop + 1]
    ids = np.unique(values[own[0] : own[-1]], return_inverse=True)[1].astype(np.int32)
    return PrefixBlocks(ids=ids, offsets=own - own[0], block_tokens=trace.block_tokens)


def _history(
    past: _Requests, begin: float, seconds: float, speed: float, window_seconds: float
) -> TokenSeries:
    """Return the token rates of the whole windows before second 0; none without a history."""
    windows = int(seconds / speed // window_seconds)
    edges = np.arange(-windows, 1) * window_seconds
    at = (past.at - begin) / speed
    prompt, output = (
        np.histogram(at, edges, weights=tokens)[0] / window_seconds if windows else np.empty(0)
        for tokens in (past.prompt, past.output)
    )
    return TokenSeries(window_seconds, 0.0, prompt, output)
