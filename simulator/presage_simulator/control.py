"""The operator's loop in virtual time: what is scraped, what the scaler is shown, and what becomes of it.

The policies are the live ones: `ScalingPolicy.size` and `constrain`. What they see is as old as it would be:
pod metrics are those of the last scrape, arrivals are counted to the last whole second, and a pod that is
asked for serves after its own cold start.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from presage_policies.scaling import (
    ConstrainState,
    Decision,
    InstanceSignal,
    LatencySignal,
    Observation,
    constrain,
)

from presage_simulator.fleet import Fleet
from presage_simulator.kernel.state import Records
from presage_simulator.results import ReplicaSteps
from presage_simulator.signals import Arrivals, Latencies, Rates
from presage_simulator.systems import Pool, Scaler
from presage_simulator.workload import Floats, Ints, SLOClass, Workload

PHASE = 0.5  # scrapes come so far into their interval: ticks see metrics half an interval old on average
LOOK_SECONDS = 15.0  # between an observer's looks at a pool that nobody scales


@dataclass(frozen=True, slots=True)
class Moment:
    """What an observer is told at each look: the pool, and requests in engines and waiting."""

    at: float
    current: int
    ready: int
    waiting: int
    inside: int


Observer = Callable[[Moment], None]


class Control:
    """Drives a fleet through time: readiness of pods, scrapes, and the scaler's looks."""

    def __init__(  # noqa: PLR0917 - one call, by its two callers' own arguments
        self,
        fleet: Fleet,
        pool: Pool,
        scaler: Scaler | None,
        classes: tuple[SLOClass, ...],
        seed: int,
        observer: Observer | None = None,
    ) -> None:
        self.fleet = fleet
        self._pool = pool
        self._loop = None if scaler is None else _Loop(scaler, pool, classes)
        self._observer = observer
        self._rng = np.random.default_rng([seed, 0x43])
        self._coming: list[tuple[float, int]] = []
        self._looked = self._scraped = 0
        self._ended: list[Records] = []
        self.ended_at = 0.0
        self._steps: list[tuple[float, int, int]] = []
        self._note(0.0)

    def admit(self, part: Workload, first: int, last: int, base: int, predicted: Floats) -> None:
        """Let requests `first` to `last` (exclusive) of a part arrive next; scalers see them when they do."""
        at, scaled = part.at[first:last], self._loop is not None
        self.fleet.admit(part, first, last, base, predicted, foresee=scaled)
        if self._loop is not None:
            self._loop.expect(at, part.prompt_tokens[first:last], predicted)
            self._loop.promise(at, self.fleet.foreseen())

    def ended(self) -> Records:
        """Return the fates of requests since the last call."""
        self._collect()
        ended = np.concatenate(self._ended)
        self._ended.clear()
        return ended

    def advance(self, to: float) -> None:
        """Let everything happen up to `to`."""
        while (due := self._next()) <= to:
            self._happen(due)
        self.fleet.run(to)

    def finish(self, until: float) -> None:
        """Let everything happen until no request is left, and until `until` at least."""
        self.fleet.close()
        while self.fleet.inside > 0 or self._next() <= until:
            due = self._next()
            self.fleet.run(due)
            if self.fleet.inside == 0 and due > until:
                break
            self._happen(due)
        self.ended_at = max(until, self.fleet.now)

    def replicas(self) -> ReplicaSteps:
        """Return every change of the pool."""
        at, current, ready = zip(*self._steps, strict=True)
        return ReplicaSteps(np.array(at), np.array(current, np.int32), np.array(ready, np.int32))

    def decisions(self) -> tuple[tuple[float, Decision], ...]:
        """Return what was decided when."""
        return () if self._loop is None else tuple(self._loop.decisions)

    def _collect(self) -> None:
        fates = self.fleet.fates()
        self._ended.append(fates)
        if self._loop is not None:
            self._loop.learn(fates)

    def _next(self) -> float:
        return min(self._ready_at(), self._scrape_at(), self._look_at())

    def _ready_at(self) -> float:
        return self._coming[0][0] if self._coming else math.inf

    def _scrape_at(self) -> float:
        if self._loop is None:
            return math.inf
        return (self._scraped + PHASE) * self._loop.scaler.scrape_seconds

    def _look_at(self) -> float:
        if self._loop is not None:
            return self._looked * self._loop.scaler.interval_seconds
        return math.inf if self._observer is None else self._looked * LOOK_SECONDS

    def _happen(self, due: float) -> None:
        """Let a pod become ready, or metrics be scraped, or look."""
        self.fleet.run(due)
        if self._ready_at() <= due:
            self.fleet.serve(heapq.heappop(self._coming)[1], due)
            self._note(due)
            return
        if self._loop is not None and self._scrape_at() <= due:
            self._collect()
            self._loop.scrape(due, self.fleet)
            self._scraped += 1
            return
        if self._loop is not None:
            self._scale(self._loop, due)
        self._looked += 1
        if self._observer is not None:
            _, current, ready = self._steps[-1]
            self._observer(Moment(due, current, ready, self.fleet.waiting, self.fleet.inside))

    def _scale(self, loop: "_Loop", now: float) -> None:
        current = self.fleet.current()
        decision = loop.decide(now, self.fleet)
        for _ in range(decision.replicas - len(current)):
            number = self.fleet.create(now)
            heapq.heappush(self._coming, (now + self._pool.cold_start.draw(self._rng), number))
        for number in self._leaving(len(current) - decision.replicas):
            self.fleet.drain(number, now)
        if decision.replicas != len(current):
            self._note(now)

    def _leaving(self, count: int) -> list[int]:
        """Choose as Kubernetes does without a hint: not ready first, then the youngest."""
        ready = set(self.fleet.ready().tolist())
        ordered = sorted(self.fleet.current().tolist(), key=lambda number: (number in ready, -number))
        return ordered[: max(0, count)]

    def _note(self, now: float) -> None:
        self._steps.append((now, len(self.fleet.current()), len(self.fleet.ready())))


class _Loop:
    """The scaler's states and what it is shown."""

    def __init__(self, scaler: Scaler, pool: Pool, classes: tuple[SLOClass, ...]) -> None:
        self.scaler = scaler
        self.decisions: list[tuple[float, Decision]] = []
        self._pool = pool
        self._objectives = classes[0].objectives
        self._arrivals = Arrivals(scaler.history)
        self._latencies = Latencies()
        self._rates = Rates()
        self._scraped: float | None = None
        self._seen: tuple[InstanceSignal, ...] = ()
        self._latency: LatencySignal | None = None
        self._waiting = self._inside = 0.0
        self._state = scaler.policy.initial()
        self._constrained = ConstrainState.initial()

    def expect(self, at: Floats, prompt_tokens: Ints, predicted: Floats) -> None:
        """Count requests that arrive next."""
        self._arrivals.expect(at, prompt_tokens, predicted)

    def promise(self, at: Floats, foreseen: Floats) -> None:
        """Take note of where promises to these requests will stand."""
        self._latencies.expect(at, foreseen)

    def learn(self, ended: Records) -> None:
        """Take note of requests that have ended."""
        self._latencies.learn(ended)

    def scrape(self, now: float, fleet: Fleet) -> None:
        """Read every metric."""
        numbers, metrics = fleet.scrape(now)
        self._seen = self._rates.signals(now, numbers, metrics, fleet.ready())
        self._latency = self._latencies.signal(now, fleet)
        self._waiting, self._inside = float(fleet.waiting), float(fleet.inside)
        self._scraped = now

    def decide(self, now: float, fleet: Fleet) -> Decision:
        """Return how many replicas there shall be."""
        prompt, output = self._arrivals.mean_lengths(now)
        scaler = self.scaler
        observation = Observation(
            now=now,
            series=self._arrivals.series(now),
            forecast=None if scaler.forecasts is None else scaler.forecasts.at(now),
            current=len(fleet.current()),
            ready=len(fleet.ready()),
            instances=self._seen,
            waiting_requests=self._waiting,
            metrics_age_seconds=None if self._scraped is None else now - self._scraped,
            cold_start_seconds=self._pool.cold_start.p90_seconds,
            interval_seconds=scaler.interval_seconds,
            mean_prompt_tokens=prompt,
            mean_output_tokens=output,
            engine=self._pool.profile,
            objectives=self._objectives,
            arrivals=self._arrivals.signal(now),
            latency=self._latency,
            inflight_requests=self._inside,
        )
        self._state, sizing = scaler.policy.size(self._state, observation)
        self._constrained, decision = constrain(self._constrained, observation, sizing, scaler.limits)
        self.decisions.append((now, decision))
        return decision
