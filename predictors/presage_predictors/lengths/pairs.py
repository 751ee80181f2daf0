"""Pairs of prompt and response length from a parquet file, each prompt kept once."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from presage_policies.lengths import RequestFeatures

_NEEDED = ("source", "model", "prompt", "prompt_tokens", "response_tokens")


class PairsError(ValueError):
    """A file that holds no usable pairs; the message names file, column and fix."""


@dataclass(frozen=True)
class Pairs:
    """Rows of pairs. `prompts` holds each text once and `prompt_of` [rows] says which one a row has.

    `caps` [rows] is the generation limit in tokens, 0 where none is known.
    """

    prompts: tuple[str, ...]
    prompt_of: NDArray[np.int64]
    sources: NDArray[np.str_]
    models: NDArray[np.str_]
    prompt_tokens: NDArray[np.int64]
    response_tokens: NDArray[np.int64]
    caps: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.prompt_of)

    def features(self, row: int) -> RequestFeatures:
        """Return a row as a predictor sees it: the source stands for the client."""
        cap = int(self.caps[row])
        return RequestFeatures(
            client=str(self.sources[row]),
            model=str(self.models[row]),
            prompt_tokens=int(self.prompt_tokens[row]),
            max_tokens=cap or None,
            prompt=self.prompts[self.prompt_of[row]],
        )

    def taken(self, rows: NDArray[np.int64]) -> "Pairs":
        """Return these rows in this order; all prompts stay, so that their numbers hold."""
        return Pairs(
            self.prompts,
            self.prompt_of[rows],
            self.sources[rows],
            self.models[rows],
            self.prompt_tokens[rows],
            self.response_tokens[rows],
            self.caps[rows],
        )


def read_pairs(path: Path, also: tuple[str, ...] = ()) -> tuple[Pairs, dict[str, NDArray[np.str_]]]:
    """Read a file in the format of `pairs.parquet`, and further columns as text. Raises PairsError."""
    import pyarrow as pa  # noqa: PLC0415 - not installed where requests are served
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise PairsError(f"{path} cannot be read as parquet: {error}") from error
    missing = [name for name in (*_NEEDED, *also) if name not in table.column_names]
    if missing:
        raise PairsError(f"{path} has no column {missing[0]!r}: it has {', '.join(table.column_names)}")
    table = table.filter(pc.greater_equal(table["response_tokens"], 1))
    encoded = table["prompt"].combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    rows = len(table)
    if not rows:
        raise PairsError(f"{path} has no row whose response has a token: give at least one")
    caps = np.zeros(rows, np.int64)
    if "max_new_tokens" in table.column_names:
        caps = np.nan_to_num(table["max_new_tokens"].to_numpy().astype(float)).astype(np.int64)
    texts = {name: _text(table[name]) for name in also}
    pairs = Pairs(
        tuple(encoded.dictionary.to_pylist()),
        np.asarray(encoded.indices).astype(np.int64),
        _text(table["source"]),
        _text(table["model"]),
        table["prompt_tokens"].to_numpy().astype(np.int64),
        table["response_tokens"].to_numpy().astype(np.int64),
        caps,
    )
    return pairs, texts


def _text(column: object) -> NDArray[np.str_]:
    return np.array([str(value) for value in column.to_pylist()])  # type: ignore[attr-defined]  # pyarrow ships no types
