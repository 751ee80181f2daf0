"""Finding and reading the tables that a scenario names."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from presage_simulator.scenario import ScenarioError

DATA = "data:"
DATA_VARIABLE = "PRESAGE_SHARED_DATA"
DATA_FOLDER = Path("..", "shared", "data")

Floats = NDArray[np.float64]


def data_folder() -> Path:
    """Return the data folder. Raises ScenarioError that says how to name one."""
    told = os.environ.get(DATA_VARIABLE)
    folder = Path(told) if told else DATA_FOLDER
    if not folder.is_dir():
        raise ScenarioError(
            f"{DATA} paths need the data folder, and {folder.absolute()} is none: set {DATA_VARIABLE} to it"
        )
    return folder


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables as a scenario names them: relative to its own folder, or `data:…` within the data folder."""

    folder: Path

    def path(self, name: str) -> Path:
        """Return the file that is meant."""
        if name.startswith(DATA):
            return data_folder() / name.removeprefix(DATA)
        return self.folder / name

    def column(self, name: str, column: str) -> Floats:
        """Return a column of numbers. Raises ScenarioError naming file and column."""
        values = _column(self.path(name), column)
        if values is None:
            raise ScenarioError(f"{name} has no column {column!r}: it has {', '.join(self.columns(name))}")
        return values

    def optional(self, name: str, column: str) -> Floats | None:
        """Return a column of numbers, None when the table has no such column."""
        return _column(self.path(name), column)

    def columns(self, name: str) -> tuple[str, ...]:
        """Return the names of a table's columns. Raises ScenarioError for what is no table."""
        return _columns(self.path(name))

    def lists(self, name: str, column: str) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Return a column of lists of whole numbers as offsets [rows + 1] and values; None without it."""
        return _lists(self.path(name), column)


def _columns(path: Path) -> tuple[str, ...]:
    return tuple(_table(path).column_names)


@lru_cache(maxsize=8)
def _table(path: Path) -> pyarrow.Table:
    try:
        if path.suffix == ".csv":
            return pyarrow.csv.read_csv(path)
        return pyarrow.parquet.read_table(path)
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}") from error
    except pyarrow.ArrowInvalid as error:
        raise ScenarioError(f"{path} is neither parquet nor CSV: {error}") from error


@lru_cache(maxsize=32)
def _column(path: Path, column: str) -> Floats | None:
    if column not in _columns(path):
        return None
    values = _table(path)[column].to_numpy()
    if not np.issubdtype(values.dtype, np.number):
        raise ScenarioError(f"{path}: column {column!r} holds {values.dtype}: it must hold numbers")
    return np.asarray(values, dtype=np.float64)


@lru_cache(maxsize=4)
def _lists(path: Path, column: str) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    if column not in _columns(path):
        return None
    lists = _table(path)[column].combine_chunks()
    counts = np.asarray(lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    values = np.asarray(lists.flatten().to_numpy(zero_copy_only=False), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(counts)]), values
