"""Simulating one system over one workload: the kernel runs the requests, this module everything rarer.

Between two looks of the scaler nothing happens that the kernel does not do itself, so Python is only met
there, when a pod becomes ready, and for each slice of requests whose lengths are predicted.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from presage_simulator.control import Control, Observer
from presage_simulator.fleet import Fleet
from presage_simulator.kernel.state import Records
from presage_simulator.length_sources import mean_tokens
from presage_simulator.results import Outcome
from presage_simulator.systems import LengthSource, Pool, System
from presage_simulator.workload import Workload

LEARNING_SECONDS = 15.0  # a source that learns is asked for lengths so far ahead of arrival at most
SLICE = 1 << 16  # requests that one that does not learn is asked for at once

Take = Callable[[Records], None]


def simulate(
    pool: Pool,
    system: System,
    workload: Workload,
    seed: int,
    *,
    observer: Observer | None = None,
    until: float = 0.0,
) -> Outcome:
    """Run a system over a workload until every request has its fate, and until `until` (s) at least.

    The same arguments give the same outcome to the byte. Raises ValueError for an unknown policy or order.
    """
    fates = _Columns(len(workload))
    control = _control(pool, system, workload, seed, observer)
    _feed(control, system.lengths, workload, 0, seed, fates.take)
    control.finish(until)
    fates.take(control.ended())
    return fates.outcome(workload, control)


def stream(pool: Pool, system: System, parts: Iterable[Workload], seed: int, take: Take) -> Fleet:
    """Run a system over a workload that comes in parts, in memory that does not grow with their number.

    `take` is given the fates of requests (dtype `FATE`) as they end. Parts follow each other in time, share
    their classes and have no prefixes; the system's pool is fixed and its length source is prepared for each
    part alone. Returns the fleet with its totals. Raises ValueError where that does not hold.
    """
    if system.scaler is not None:
        raise ValueError(f"system {system.name!r} has a scaler: stream parts through a fixed pool")
    control: Control | None = None
    base = 0
    for part in parts:
        if part.prefix is not None:
            raise ValueError("a part has prefixes: simulate the workload in one")
        if control is None:
            control = _control(pool, system, part, seed, None)
        _feed(control, system.lengths, part, base, seed, take)
        base += len(part)
    if control is None:
        raise ValueError("there is no part to stream: give at least one")
    control.finish(0.0)
    take(control.ended())
    return control.fleet


def _control(pool: Pool, system: System, part: Workload, seed: int, observer: Observer | None) -> Control:
    fleet = Fleet(pool, system.routing, part.classes, part.prefix, seed)
    return Control(fleet, pool, system.scaler, part.classes, seed, observer)


def _feed(  # noqa: PLR0917 - what two callers have in common
    control: Control, lengths: LengthSource, part: Workload, base: int, seed: int, take: Take
) -> None:
    """Let a part's requests arrive, slice by slice, each predicted from what had ended as it began."""
    lengths.prepare(part, seed)
    for first, last in _slices(part, learns=lengths.learns):
        control.advance(float(part.at[first]))
        ended = control.ended()
        take(ended)
        known = ended[np.isfinite(ended["finished"]) & (ended["index"] >= base)]
        lengths.observe((known["index"] - base).astype(np.int32), known["output"])
        control.admit(part, first, last, base, mean_tokens(lengths.predict(first, last)))
    if len(part):
        control.advance(float(part.at[-1]))


def _slices(part: Workload, *, learns: bool) -> Iterator[tuple[int, int]]:
    first = 0
    while first < len(part):
        last = min(len(part), first + SLICE)
        if learns:
            last = min(last, int(np.searchsorted(part.at, part.at[first] + LEARNING_SECONDS)))
        yield first, max(last, first + 1)
        first = max(last, first + 1)


class _Columns:
    """Fates by request."""

    def __init__(self, requests: int) -> None:
        self._bound, self._first, self._finished = (np.full(requests, np.nan) for _ in range(3))
        self._instance = np.full(requests, -1, np.int32)
        self._preempted = np.zeros(requests, np.int16)

    def take(self, fates: Records) -> None:
        """Write down requests that have ended."""
        index = fates["index"]
        self._bound[index], self._first[index] = fates["bound"], fates["first"]
        self._finished[index], self._instance[index] = fates["finished"], fates["instance"]
        self._preempted[index] = fates["preempted"]

    def outcome(self, workload: Workload, control: Control) -> Outcome:
        """Return everything together."""
        fleet = control.fleet
        kv_use, imbalance = fleet.kv_use
        return Outcome(
            workload=workload,
            bound=self._bound,
            first_token=self._first,
            finished=self._finished,
            instance=self._instance,
            preempted=self._preempted,
            replicas=control.replicas(),
            replica_seconds=fleet.replica_seconds(fleet.now),
            preemptions=fleet.preemptions,
            kv_use_mean=kv_use,
            imbalance=imbalance,
            messages=fleet.messages,
            decisions=control.decisions(),
            ended_at=fleet.now,
        )
