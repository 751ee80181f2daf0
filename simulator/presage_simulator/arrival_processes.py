"""From rates to instants: renewal processes, seeded, with a rate that changes over time.

A process of unit rate is mapped through the inverse of the expected number of arrivals, so that every
process follows any rates and a Poisson process stays one (time change; Çinlar 1975, theorem 4.7.1).
"""

import numpy as np
from numpy.typing import NDArray

from presage_simulator.scenario import ProcessSpec

Floats = NDArray[np.float64]


def instants(edges: Floats, rates: Floats, process: ProcessSpec, rng: np.random.Generator) -> Floats:
    """Return sorted instants (s) of arrivals at `rates[k]` (1/s) between `edges[k]` and `edges[k + 1]`."""
    expected = np.concatenate([[0.0], np.cumsum(rates * np.diff(edges))])
    counted = _unit_renewals(float(expected[-1]), process, rng)
    return np.asarray(np.interp(counted, expected, edges), dtype=np.float64)


def _unit_renewals(until: float, process: ProcessSpec, rng: np.random.Generator) -> Floats:
    """Return the renewals within [0, until) of a process of unit rate."""
    if process.kind == "Even":
        return np.arange(rng.uniform(), until)
    shape = 1.0 if process.kind == "Poisson" else process.cv**-2
    parts: list[Floats] = []
    at = -float(rng.gamma(shape, 1 / shape)) * float(rng.uniform())  # the first gap is already under way
    while at < until:
        most = int((until - at) + 4 * (until - at) ** 0.5 / shape**0.5) + 16
        parts.append(at + np.cumsum(rng.gamma(shape, 1 / shape, most)))
        at = float(parts[-1][-1])
    renewals = np.concatenate([*parts, np.empty(0)])
    return renewals[(renewals >= 0) & (renewals < until)]
