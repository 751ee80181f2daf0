"""Reading measured tables, whatever their files are called: the columns say what a table is."""

import csv
import gzip
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from presage_policies.fitting import Floats

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
ENDINGS = (".csv", ".csv.gz", ".parquet", ".yaml", ".yml")

KINDS: dict[str, tuple[str, ...]] = {  # a table's kind by the columns that it must have; first match wins
    "attention": ("prefill_chunk", "n_decode", "kv_decode", "time_us"),
    "dense": ("layer", "tokens", "time_us"),
    "per_sequence": ("layer", "sequences", "time_us"),
    "gemm": ("m", "n", "k", "latency"),
    "all_reduce": ("num_gpus", "message_size", "latency"),
    "op_attention": ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "latency"),
    "silicon": ("isl", "osl", "tp_size", "silicon_ttft_ms", "silicon_tpot_ms"),
    "splitwise": ("prompt_size", "batch_size", "token_size", "prompt_time", "token_time"),
}


class TableError(ValueError):
    """A table that cannot be used; the message names the file, the column, the value and the fix."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A measured table: its kind and its columns, all of one length."""

    path: Path
    kind: str
    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def numbers(self, column: str, default: float | None = None) -> Floats:
        """Return a column as numbers; a missing one is all `default`, when there is one."""
        if column not in self.columns:
            if default is None:
                raise TableError(f"{self.path}: the column {column!r} is missing: add it")
            return np.full(len(self), default)
        return np.array([self._number(column, row, value) for row, value in enumerate(self.columns[column])])

    def words(self, column: str) -> list[str]:
        """Return a column as words; a missing one is all empty."""
        return [str(value) for value in self.columns.get(column, [""] * len(self))]

    def where(self, kept: Sequence[bool]) -> "Table":
        """Return the rows that are kept."""
        rows = [row for row, keep in enumerate(kept) if keep]
        picked = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return Table(self.path, self.kind, picked)

    def matching(self, column: str, wanted: str | float | None) -> "Table":
        """Return the rows whose value is the wanted one; all when nothing is wanted or no value is there."""
        if wanted is None or all(value in {None, ""} for value in self.columns.get(column, ())):
            return self
        kept = self.where([_alike(value, wanted) for value in self.columns[column]])
        if not len(kept):
            there = ", ".join(sorted({str(value) for value in self.columns[column]})[:12])
            raise TableError(
                f"{self.path}: no row has {column} = {wanted!r}: the table has {there}; choose one of them"
            )
        return kept

    def _number(self, column: str, row: int, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise TableError(
                f"{self.path}: column {column!r} has {value!r} in data row {row + 1}: give a number "
                "or leave the row out"
            )
        return number


def read_tables(paths: Sequence[Path]) -> tuple[list[Table], list[dict[str, Any]]]:
    """Read tables and meta files (YAML or JSON); a folder stands for the tables and meta files in it.

    Meta files that lie beside a per-layer table, named alike, are read too.
    """
    files = [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]
    tables: list[Table] = []
    metas: dict[Path, dict[str, Any]] = {}
    for file in files:
        if file.suffix in {".yaml", ".yml", ".json"}:
            metas[file] = _meta(file)
        else:
            tables.append(read_table(file))
    for table in tables:
        beside = _meta_beside(table)
        if beside is not None and beside not in metas:
            metas[beside] = _meta(beside)
    return tables, list(metas.values())


def _inside(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.name.endswith(ENDINGS)]


def read_table(path: Path) -> Table:
    """Read a CSV (gzipped or not) or parquet table and tell its kind by its columns."""
    content = _bytes(path)
    columns = _parquet(path, content) if content.startswith(PARQUET) else _csv(path, content)
    for kind, needed in KINDS.items():
        if all(name in columns for name in needed):
            if not next(iter(columns.values())):
                raise TableError(f"{path}: the table has no rows: leave it out")
            return Table(path, _attention_kind(path, columns) if kind == "op_attention" else kind, columns)
    raise TableError(
        f"{path}: its columns are {', '.join(columns)[:300]}: a table has "
        + ", or ".join(", ".join(needed) for needed in KINDS.values())
    )


def _bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP) else content
    except (OSError, EOFError) as error:
        raise TableError(f"{path}: cannot be read: {error}; give a CSV or parquet file") from error


def _csv(path: Path, content: bytes) -> dict[str, list[Any]]:
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
        names = [name.strip() for name in rows.fieldnames or ()]
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for row in rows:
            for name, value in zip(names, row.values(), strict=False):
                columns[name].append(value)
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path}: is neither CSV nor parquet ({error})") from error
    return columns


def _parquet(path: Path, content: bytes) -> dict[str, list[Any]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - of the extra `simulate`, needed for parquet only
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise TableError(f"{path}: parquet needs the extra `simulate`: install presage[simulate]") from error
    try:
        columns: dict[str, list[Any]] = pq.read_table(pa.BufferReader(content)).to_pydict()
    except pa.ArrowException as error:
        raise TableError(f"{path}: is not a parquet table ({error})") from error
    return columns


def _attention_kind(path: Path, columns: dict[str, list[Any]]) -> str:
    named = str(columns.get("op_name", [""])[0]) + path.name
    for word, kind in (("context", "context"), ("generation", "generation")):
        if word in named:
            return kind
    return "context" if max(float(value) for value in columns["isl"]) > 1 else "generation"


def _meta_beside(table: Table) -> Path | None:
    if table.kind not in {"attention", "dense", "per_sequence"}:
        return None
    matches = [
        meta
        for pattern in ("*meta.yaml", "*meta.yml", "*meta.json")
        for meta in sorted(table.path.parent.glob(pattern))
        if table.path.name.startswith(meta.name.partition("meta.")[0])
    ]
    return max(matches, key=lambda meta: len(meta.name)) if matches else None


def _meta(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TableError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise TableError(f"{path}: is {type(content).__name__}: give a mapping")
    return content


def _alike(value: Any, wanted: str | float) -> bool:
    if isinstance(wanted, str):
        return str(value).lower() == wanted.lower()
    try:
        return float(value) == wanted
    except (TypeError, ValueError):
        return False


def curve(table: Table, at: str, seconds: Floats) -> tuple[Floats, Floats]:
    """Return ascending positions and the least time measured at each."""
    positions = table.numbers(at)
    order: Callable[[float], float] = float
    least = {
        position: float(seconds[positions == position].min())
        for position in sorted(set(positions), key=order)
    }
    return np.array(list(least)), np.array(list(least.values()))
