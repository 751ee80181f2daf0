"""What is replayed: requests with their arrival and lengths."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: when it arrives (s), its prompt (tokens), and the length that only its engine knows."""

    at: float
    prompt_tokens: int
    output_tokens: int
    client: str = "replay"


def ordered(arrivals: Iterable[Arrival]) -> tuple[Arrival, ...]:
    """Return arrivals in order of time."""
    return tuple(sorted(arrivals, key=lambda arrival: arrival.at))


def poisson(
    rates: Iterable[float],
    window_seconds: float,
    lengths: Iterable[tuple[int, int]],
    rng: np.random.Generator,
) -> tuple[Arrival, ...]:
    """Return Poisson arrivals at a rate (requests/s) a window, with (prompt, output) drawn from `lengths`."""
    shapes = list(lengths)
    arrivals = []
    for window, rate in enumerate(rates):
        count = int(rng.poisson(rate * window_seconds))
        times = np.sort(rng.uniform(0, window_seconds, count)) + window * window_seconds
        drawn = rng.integers(len(shapes), size=count)
        arrivals += [Arrival(float(t), *shapes[i]) for t, i in zip(times, drawn, strict=True)]
    return tuple(arrivals)
