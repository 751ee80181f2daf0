"""What the network learns from: recorded series, and services made of them that never existed.

Only the first part of each recording is used, so that the rest can test. Made services are sums of some
clients of a recording (as a service with fewer customers would look), mixtures of two recordings, switches
from one to another (a huge client that comes or goes), gaps and pauses. All drawn with a seed. (Ours.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from presage_predictors.mlstm.shape import KNOTS
from presage_predictors.panel import Panel, View
from presage_predictors.panel.view import joined
from presage_predictors.traces import TraceError, read_recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Floats = NDArray[np.float64]

WINDOWS = (30.0, 60.0, 120.0, 300.0, 600.0)
MOST_WINDOWS = 2200  # of one row: the newest are taken
LEAST_WINDOWS = 30
REACH_SECONDS = 7200.0  # steps further ahead are not learnt
DAY = 86400.0
USUAL_WINDOW = 600.0
SAMPLED, SAMPLED_RECORDED = 70, 600  # origins of each made and each recorded series, on average
FAMILY_SUFFIXES = ("_series", "_client_rates", "_resampled", "_digitised", "_minute")
LEFT_OUT = ("burstgpt1_daily61", "aider_usage")  # a step of a day; one single person


@dataclass(frozen=True, slots=True)
class Options:
    """How much is used and made. `share` of each recording, from its beginning; `without` names families."""

    share: float = 0.75
    seed: int = 20261121
    without: tuple[str, ...] = ()
    from_clients: int = 60  # made services per recording of clients
    mixtures: int = 150
    diurnal: int = 200


@dataclass(slots=True)
class Rows:
    """Series with a common window, oldest first, by their window in seconds."""

    by_window: dict[float, list[Floats]] = field(default_factory=dict)

    def add(self, window: float, values: Floats) -> None:
        """Add a series if it is long enough and not without load."""
        values = values[-MOST_WINDOWS:]
        if len(values) >= LEAST_WINDOWS and np.nansum(values) > 0:
            self.by_window.setdefault(window, []).append(values)


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Training examples: what was seen, what came [rows, knots] (rates, NaN = not to be learnt), weights."""

    view: View
    truth: Floats
    weight: Floats  # [rows, knots]: 1 / the series' mean error of the best simple forecast


def build(folder: Path, options: Options) -> Corpus:
    """Read the traces of a folder and make the examples. Raises TraceError when there is none."""
    rng = np.random.default_rng(options.seed)
    rows, others = recorded(folder, options), Rows()
    if not rows.by_window:
        raise TraceError(f"{folder} holds no trace to learn from: give a folder of parquet files")
    for values in from_clients(folder, options, rng):
        others.add(USUAL_WINDOW, values)
    for _ in range(options.diurnal):
        others.add(USUAL_WINDOW, diurnal(USUAL_WINDOW, rng))
    return enriched(rows, others, options, rng)


def enriched(rows: Rows, others: Rows, options: Options, rng: np.random.Generator) -> Corpus:
    """Return the examples that recorded series, made ones and mixtures of all give.

    Raises TraceError without a recorded series.
    """
    if not rows.by_window:
        raise TraceError(f"no series of {LEAST_WINDOWS} windows or more to learn from: give a longer past")
    parts = []
    for window, found in sorted(rows.by_window.items()):
        known = [*found, *others.by_window.get(window, [])]
        few = max(4, options.mixtures * len(found) // 400)
        mixtures = Rows()
        for _ in range(options.mixtures if window == USUAL_WINDOW else few):
            mixtures.add(window, mixed(known, rng))
        made = [*known[len(found) :], *mixtures.by_window.get(window, [])]
        parts.append(examples(window, found, made, rng))
    return Corpus(
        joined([part.view for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )


def family(source: str) -> str:
    """Return the trace that a file belongs to: a series, its clients and its resampling are one."""
    for suffix in FAMILY_SUFFIXES:
        source = source.removesuffix(suffix)
    return source


def recorded(folder: Path, options: Options) -> Rows:
    """Return every load of every recording at each window it allows, the first part only."""
    rows = Rows()
    for path in sorted(folder.glob("*.parquet")):
        if family(path.stem) in (*options.without, *LEFT_OUT) or "_client_" in path.stem:
            continue
        recording = read_recording(path)
        for window in WINDOWS:
            if recording.step is not None and window < recording.step:
                continue
            for column in recording.loads:
                values = recording.rates(column, window)
                rows.add(window, values[: int(options.share * len(values))])
    return rows


def from_clients(folder: Path, options: Options, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield rates of made services: some clients of a recording, each as large as chance has it."""
    from pyarrow import parquet  # noqa: PLC0415 - no reader where requests are served

    for path in sorted(folder.glob("*_client_rates.parquet")):
        if family(path.stem) in options.without:
            continue
        table = parquet.read_table(path, columns=["client", "t", "rate"])
        client, t, rate = (table[name].to_numpy() for name in ("client", "t", "rate"))
        _, index = np.unique(client, return_inverse=True)
        times, window = np.unique(t, return_inverse=True)
        grid = np.zeros((index.max() + 1, len(times)))
        grid[index, window] = rate
        grid = grid[:, : int(options.share * len(times))]
        for _ in range(options.from_clients * len(times) // 1000 + 5):
            chosen = rng.random(len(grid)) < rng.uniform(0.05, 0.9)
            size = rng.lognormal(0.0, 0.8, len(grid))
            yield (chosen * size) @ grid


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


def _piece(values: Floats, rng: np.random.Generator) -> Floats:
    """Return a stretch of a series, with a mean of 1."""
    begin = int(rng.uniform(0, 0.6) * len(values))
    piece = values[begin:]
    return piece / max(float(np.nanmean(piece)), 1e-9)


def examples(
    window: float, recorded_ones: Sequence[Floats], made: Sequence[Floats], rng: np.random.Generator
) -> Corpus:
    """Run all series through one panel and keep what it saw at some origins: more of recorded ones."""
    found = [*recorded_ones, *made]
    length = max(len(values) for values in found)
    grid = np.full((len(found), length), np.nan)
    for row, values in enumerate(found):
        grid[row, length - len(values) :] = values / max(float(np.nanmean(values)), 1e-9)
    ahead = np.array(KNOTS)
    panel = Panel(len(found), window, round(DAY / window), ahead)
    longer = np.concatenate([grid, np.full((len(found), max(KNOTS)), np.nan)], axis=1)
    known = np.isfinite(grid).sum(axis=1)
    wanted = np.where(np.arange(len(found)) < len(recorded_ones), SAMPLED_RECORDED, SAMPLED)
    chance = np.minimum(1.0, wanted / known)
    begin = rng.uniform(0, 7 * DAY)
    views, truths, rows = [], [], []
    for index in range(length - 1):
        view = panel.update(grid[:, index], begin + (index + 1) * window)
        chosen = (rng.random(len(found)) < chance) & (panel.age > 0)
        views.append(view.rows(chosen))
        truths.append(longer[chosen][:, index + ahead])
        rows.append(np.flatnonzero(chosen))
    view, truth, of_row = joined(views), np.concatenate(truths), np.concatenate(rows)
    truth[:, np.array(KNOTS) * window > REACH_SECONDS] = np.nan
    return Corpus(view, truth, _weights(view.unit, of_row, len(found)))


def _weights(unit: Floats, row: NDArray[np.int64], rows: int) -> Floats:
    count = np.maximum(np.bincount(row, minlength=rows), 1)
    mean = np.stack([np.bincount(row, weights=column, minlength=rows) / count for column in unit.T], axis=1)
    return np.asarray(1.0 / np.maximum(mean[row], 1e-9), dtype=np.float64)
