"""Services that never existed, made of recorded ones: what else there might be to forecast.

Sums of some clients of a recording (as a service with fewer customers would look), drawn daily shapes,
mixtures of two series, switches from one to another (a huge client that comes or goes), gaps and pauses,
and stretches of a day or less as if that were all there is: most services are young when it matters. All
drawn with a seed. (Ours.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Floats = NDArray[np.float64]

DAY = 86400.0
YOUNG = (40, 200)  # windows that a young service has, the windows to come included


def client_rates(path: Path, share: float) -> Floats:
    """Return the rates of a recording's clients over the first part of it, [clients, windows]."""
    from pyarrow import parquet  # noqa: PLC0415 - no reader where requests are served

    table = parquet.read_table(path, columns=["client", "t", "rate"])
    client, t, rate = (table[name].to_numpy() for name in ("client", "t", "rate"))
    _, index = np.unique(client, return_inverse=True)
    times, window = np.unique(t, return_inverse=True)
    grid = np.zeros((index.max() + 1, len(times)))
    grid[index, window] = rate
    return grid[:, : int(share * len(times))]


def of_clients(grid: Floats, rng: np.random.Generator) -> Floats:
    """Return the rates of a made service: some of the clients, each as large as chance has it."""
    chosen = rng.random(len(grid)) < rng.uniform(0.05, 0.9)
    size = rng.lognormal(0.0, 0.8, len(grid))
    return np.asarray((chosen * size) @ grid, dtype=np.float64)


def diurnal(window: float, rng: np.random.Generator) -> Floats:
    """Return a service with a daily shape, quieter weekends, a wandering level and noise."""
    windows = int(rng.integers(2, 13)) * round(DAY / window)
    day = (np.arange(windows) + rng.integers(0, 7 * round(DAY / window))) * window / DAY
    shape = sum(
        rng.normal(0, 0.5 / order) * np.cos(2 * np.pi * (order * day + rng.random())) for order in range(1, 6)
    )
    weekend = np.where(day % 7 >= 5, rng.uniform(-1.0, 0.2), 0.0)  # noqa: PLR2004 - Saturday
    level = np.cumsum(rng.normal(0, rng.uniform(0.0, 0.03), windows))
    noise = np.zeros(windows)
    keep, size = rng.uniform(0.0, 0.95), float(np.exp(rng.uniform(-5.0, -1.5)))
    for index, shock in enumerate(rng.normal(0, size, windows - 1)):
        noise[index + 1] = keep * noise[index] + shock
    return np.asarray(np.exp(rng.uniform(0.3, 1.5) * shape + weekend + level + noise), dtype=np.float64)


def mixed(found: Sequence[Floats], rng: np.random.Generator) -> Floats:
    """Return a series made of one or two others: scaled, shifted, joined, thinned, with gaps."""
    first, second = (_piece(found[index], rng) for index in rng.integers(0, len(found), 2))
    length = min(len(first), len(second))
    first, second = first[-length:], second[-length:]
    kind = rng.integers(4)
    if kind == 0:  # two crowds of customers
        made = first + rng.lognormal(0.0, 1.0) * second
    elif kind == 1:  # one goes and another comes
        at = int(rng.uniform(0.2, 0.9) * length)
        made = np.where(np.arange(length) < at, first, second * rng.lognormal(0.0, 0.5))
    elif kind == 2:  # a huge client for a while  # noqa: PLR2004 - cases
        begin, end = np.sort(rng.integers(0, length, 2))
        made = first + np.where(
            (np.arange(length) >= begin) & (np.arange(length) < end), rng.lognormal(0, 1), 0
        )
    else:  # fewer customers, so more of chance
        mean = float(rng.lognormal(3.5, 1.2))
        made = rng.poisson(np.nan_to_num(first) * mean) / mean
    for _ in range(rng.integers(0, 3)):
        at, of = int(rng.integers(0, length)), int(rng.integers(1, 12))
        made[at : at + of] = rng.choice([np.nan, 0.0])
    return np.asarray(made, dtype=np.float64)


def young(found: Sequence[Floats], rng: np.random.Generator) -> Floats:
    """Return a stretch of a series as if it were all that there is."""
    values = found[int(rng.integers(len(found)))]
    length = int(rng.integers(*YOUNG))
    begin = int(rng.integers(max(1, len(values) - length)))
    return values[begin : begin + length]


def _piece(values: Floats, rng: np.random.Generator) -> Floats:
    """Return a stretch of a series, with a mean of 1."""
    begin = int(rng.uniform(0, 0.6) * len(values))
    piece = values[begin:]
    return piece / max(float(np.nanmean(piece)), 1e-9)
