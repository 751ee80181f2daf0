"""Reads load over time from parquet files: recorded series, request logs, rates of single clients.

Formats are those of the public data that the project is measured on (a column `t` in seconds, and either
one row a window or one row a request); what a file holds is seen from its columns and its times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Floats = NDArray[np.float64]

REQUESTS = "requests"  # the column that counts rows of a request log
TOKEN_COLUMNS = ("prompt_tokens", "output_tokens")
COUNTS = (REQUESTS, "total_tokens", *TOKEN_COLUMNS)  # columns of a series that hold sums, not rates
PER_MINUTE, PER_SECOND = re.compile(r"_per_min$"), re.compile(r"_per_s$")
REGULAR_SHARE = 0.5  # of the differences of `t` in a series equal its step; gaps are whole steps
TOLERANCE = 1e-6  # of times that should be equal
LEAST_PRESENT = 0.5  # a wider window has a rate when so much of it is present


class TraceError(Exception):
    """A file that cannot be read as load over time; the message says what to give."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A file's columns by name over `t` (seconds); `step`: a series' window, None of a request log."""

    source: str
    t: Floats
    columns: dict[str, Floats]
    step: float | None

    @property
    def loads(self) -> tuple[str, ...]:
        """Names of the columns that are a load: rates and sums."""
        if self.step is None:
            return (REQUESTS, *(name for name in TOKEN_COLUMNS if name in self.columns))
        return tuple(name for name in self.columns if _is_load(name))

    def after(self, earlier: Recording) -> Recording:
        """Return this recording with an earlier part of the same before it."""
        if earlier.step != self.step:
            raise TraceError(
                f"{earlier.source} has another step than {self.source}: give the same trace's past"
            )
        if len(earlier.t) and len(self.t) and earlier.t[-1] > self.t[0]:
            raise TraceError(f"{earlier.source} ends after {self.source} begins: give what came before it")
        shared = {
            name: np.concatenate([earlier.columns[name], self.columns[name]])
            for name in self.columns
            if name in earlier.columns
        }
        return Recording(self.source, np.concatenate([earlier.t, self.t]), shared, self.step)

    def rates(self, column: str, window_seconds: float) -> Floats:
        """Return one column's rates per second, a window each from t = 0; NaN = absent.

        The last window of a request log is left out: nobody knows whether it was recorded whole. Raises
        TraceError when there is no such column or the window does not fit.
        """
        if self.step is None:
            return self._counted(column, window_seconds)
        if column not in self.columns:
            raise TraceError(f"{self.source} has no column {column!r}: give one of {', '.join(self.columns)}")
        merged = round(window_seconds / self.step)
        if merged < 1 or abs(merged * self.step - window_seconds) > TOLERANCE:
            raise TraceError(
                f"{self.source} has no windows of {window_seconds:g} s: give a multiple of {self.step:g}"
            )
        values = self.columns[column] / _seconds(column, self.step)
        grid = np.full(round(self.t[-1] / self.step) + 1, np.nan)
        grid[np.round(self.t / self.step).astype(int)] = values
        return _merged(grid, merged)

    def _counted(self, column: str, window_seconds: float) -> Floats:
        if column != REQUESTS and column not in self.columns:
            raise TraceError(f"{self.source} has no column {column!r}: give one of {', '.join(self.loads)}")
        window = (self.t // window_seconds).astype(int)
        weights = None if column == REQUESTS else np.nan_to_num(self.columns[column])
        counts = np.bincount(window, weights=weights)[:-1]
        return np.asarray(counts / window_seconds, dtype=np.float64)


def read_recording(path: Path) -> Recording:
    """Read a parquet file. Raises TraceError when it is none, or holds no load over time."""
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - no reader where requests are served

    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise TraceError(f"{path} cannot be read as parquet: {error}") from error
    if "t" not in table.column_names or table.num_rows < 2:  # noqa: PLR2004 - a step needs two times
        raise TraceError(f"{path} has no column `t` with at least 2 times: give a series or a request log")
    columns = {
        field.name: np.asarray(table[field.name].to_numpy(), dtype=np.float64)
        for field in table.schema
        if str(field.type).startswith(("int", "uint", "float", "double"))
    }
    t = columns.pop("t")
    if {"client", "rate"} <= set(columns):
        t, columns = _summed_over_clients(t, columns["rate"])
    order = np.argsort(t, kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    return Recording(path.stem, t[order], columns, _step(t[order]))


def read_recordings(paths: Sequence[Path]) -> list[Recording]:
    """Read those of the files that hold load over time; files without `t` are passed over."""
    found = []
    for path in paths:
        try:
            found.append(read_recording(path))
        except TraceError:
            continue
    return found


def _summed_over_clients(t: Floats, rate: Floats) -> tuple[Floats, dict[str, Floats]]:
    times, index = np.unique(t, return_inverse=True)
    return times, {"req_per_s": np.asarray(np.bincount(index, weights=rate), dtype=np.float64)}


def _step(t: Floats) -> float | None:
    """Return the step of a regular grid, which may have gaps; None when the times are those of requests."""
    apart = np.diff(t)
    step = float(np.median(apart))
    if step <= 0 or (apart <= 0).any():
        return None
    steps = apart / step
    whole = np.abs(steps - np.round(steps)) < TOLERANCE
    return step if whole.all() and (np.round(steps) == 1).mean() >= REGULAR_SHARE else None


def _is_load(name: str) -> bool:
    return name in COUNTS or bool(PER_MINUTE.search(name) or PER_SECOND.search(name))


def _seconds(column: str, step: float) -> float:
    """Return what a column is divided by to be a rate per second."""
    if PER_MINUTE.search(column):
        return 60.0
    return step if column in COUNTS else 1.0


def _merged(values: Floats, count: int) -> Floats:
    """Return means of so many neighbouring windows, of those present; NaN where too few are."""
    whole = values[: len(values) // count * count].reshape(-1, count)
    present = np.isfinite(whole)
    total = np.where(present, whole, 0.0).sum(axis=1)
    enough = present.mean(axis=1) >= LEAST_PRESENT
    return np.where(enough, total / np.maximum(present.sum(axis=1), 1), np.nan)
