"""One preemptive server in virtual time, compiled: the check that orders are applied as theory says.

Two kinds of event, an arrival and a departure. A key of `presage_policies.queueing.service` never grows
while its request is served, so who is in service only changes at an event.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presage_simulator.kernel.compiled import entry, of_policies
from presage_simulator.queueing_theory.disciplines import Discipline

BATCHES = 32
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Responses:
    """The mean response (in mean services) and the half-width of its 95 % interval, by batch means."""

    mean: float
    half_width: float


def simulate_queue(discipline: Discipline, load: float, requests: int, seed: int) -> Responses:
    """Simulate M/M/1 with mean service 1 from empty until `requests` have ended.

    Raises ValueError unless 0 < load < 1 and there is at least one request a batch.
    """
    if not 0.0 < load < 1.0:
        raise ValueError(f"load is {load}: a stable queue needs more than 0 and less than 1")
    if requests < BATCHES:
        raise ValueError(f"requests is {requests}: give at least {BATCHES}, one a batch")
    order = of_policies(discipline.order)
    rng = np.random.default_rng(seed)
    means = _serve(rng, load, requests // BATCHES, discipline.predicted, order)
    spread = float(means.std(ddof=1)) / BATCHES**0.5
    return Responses(float(means.mean()), _Z95 * spread)


@entry
def _serve(
    rng: np.random.Generator,
    load: float,
    batch: int,
    predicted: bool,
    order: Callable[[float, float, float], float],
) -> NDArray[np.float64]:
    """Return the mean response of each batch of departures.

    Who waits is a tuple: key, arrival, service left, service expected, service attained.
    """
    means = np.zeros(BATCHES)
    waiting = [(0.0, 0.0, 0.0, 0.0, 0.0) for _ in range(0)]
    busy, departed, next_arrival = False, 0, rng.exponential(1.0 / load)
    now = arrived = left = expected = attained = 0.0
    while departed < batch * BATCHES:
        if busy and now + left <= next_arrival:
            now += left
            means[departed // batch] += (now - arrived) / batch
            departed += 1
            busy = len(waiting) > 0
            if busy:
                _, arrived, left, expected, attained = heapq.heappop(waiting)
            continue
        if busy:
            left -= next_arrival - now
            attained += next_arrival - now
        now = next_arrival
        next_arrival = now + rng.exponential(1.0 / load)
        size = rng.exponential(1.0)
        told = rng.exponential(size) if predicted else size
        if busy:
            key, served_key = order(now, told, 0.0), order(arrived, expected, attained)
            if key >= served_key:
                heapq.heappush(waiting, (key, now, size, told, 0.0))
                continue
            heapq.heappush(waiting, (served_key, arrived, left, expected, attained))
        busy, arrived, left, expected, attained = True, now, size, told, 0.0
    return means
