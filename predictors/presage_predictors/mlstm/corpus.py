"""What the network learns from: recorded series, and services made of them that never existed.

Only the first part of each recording is used, so that the rest can test. All that is drawn is drawn with a
seed, so the same folder gives the same examples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from presage_predictors.mlstm.services import DAY, client_rates, diurnal, mixed, of_clients, young
from presage_predictors.mlstm.shape import KNOTS
from presage_predictors.panel import Panel, View
from presage_predictors.panel.view import joined
from presage_predictors.traces import TraceError, read_recording

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Floats = NDArray[np.float64]

WINDOWS = (30.0, 60.0, 120.0, 300.0, 600.0)
MOST_WINDOWS = 2200  # of one row: the newest are taken
LEAST_WINDOWS = 30
REACH_SECONDS = 7200.0  # steps further ahead are not learnt
USUAL_WINDOW = 600.0
FULL_STOCK = 400  # recorded series for which as many are made at another window than the usual one
SAMPLED, SAMPLED_RECORDED = 70, 600  # origins of each made and each recorded series, on average
FAMILY_SUFFIXES = ("_series", "_client_rates", "_resampled", "_digitised", "_minute")
LEFT_OUT = ("burstgpt1_daily61", "aider_usage")  # a step of a day; one single person


@dataclass(frozen=True, slots=True)
class Options:
    """How much is used and made. `share` of each recording, from its beginning; `without` names families."""

    share: float = 0.75
    seed: int = 20261121
    without: tuple[str, ...] = ()
    from_clients: int = 80  # made services per 1,000 windows of a recording of clients
    mixtures: int = 150
    diurnal: int = 200
    young: int = 600  # services of a day or so


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


@dataclass(frozen=True, slots=True)
class Stock:
    """Series to make examples of: recorded ones, services made of clients, and drawn days."""

    recorded: Rows
    services: Rows = field(default_factory=Rows)
    drawn: Rows = field(default_factory=Rows)


def build(folder: Path, options: Options) -> Corpus:
    """Read the traces of a folder and make the examples. Raises TraceError when there is none."""
    rng = np.random.default_rng(options.seed)
    stock = Stock(recorded(folder, options))
    if not stock.recorded.by_window:
        raise TraceError(f"{folder} holds no trace to learn from: give a folder of parquet files")
    for path in sorted(folder.glob("*_client_rates.parquet")):
        if family(path.stem) not in options.without:
            grid = client_rates(path, options.share)
            for _ in range(options.from_clients * grid.shape[1] // 1000 + 5):
                stock.services.add(USUAL_WINDOW, of_clients(grid, rng))
    for _ in range(options.diurnal):
        stock.drawn.add(USUAL_WINDOW, diurnal(USUAL_WINDOW, rng))
    return enriched(stock, options, rng)


def enriched(stock: Stock, options: Options, rng: np.random.Generator) -> Corpus:
    """Return the examples that a stock gives: of its series, of mixtures and of young services.

    Raises TraceError without a recorded series.
    """
    if not stock.recorded.by_window:
        raise TraceError(f"no series of {LEAST_WINDOWS} windows or more to learn from: give a longer past")
    parts = []
    for window, found in sorted(stock.recorded.by_window.items()):
        services, drawn = (rows.by_window.get(window, []) for rows in (stock.services, stock.drawn))
        known = [*found, *services, *drawn]
        share = 1.0 if window == USUAL_WINDOW else len(found) / FULL_STOCK
        mixtures, youth = Rows(), Rows()
        for _ in range(max(4, round(share * options.mixtures))):
            mixtures.add(window, mixed(known, rng))
        for _ in range(round(share * options.young)):
            youth.add(window, young(known, rng))
        made = [*known[len(found) :], *mixtures.by_window.get(window, [])]
        parts.append(examples(window, found, made, rng))
        if youth.by_window:
            parts.append(examples(window, [], youth.by_window[window], rng))
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
