"""Fitting the iteration-time model to measured kernel times: arrays in, coefficients and error out.

The tables give the time of one layer's kernels at grid points. A whole iteration is `layers` times those
plus what runs once; its time is then fitted by weighted least squares of the relative error. (Ours.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presage_policies.engine import IterationCoefficients

Floats = NDArray[np.float64]

PER_LAYER: Mapping[str, int] = {  # how often a dense kernel runs in each layer of a Llama
    "layernorm": 2,
    "qkv_proj": 1,
    "rotary_emb": 1,
    "o_proj": 1,
    "gate_up_proj": 1,
    "act_fn": 1,
    "down_proj": 1,
}
PER_ITERATION: tuple[str, ...] = ("embedding", "final_layernorm")
DECODE_ONLY_WEIGHT = 0.8  # at 10 requests/s and 20 ms an iteration, four of five iterations prefill nothing
MOST_CONTEXT = 4096  # grid points beyond it are rare in service and would bend the line for all others


@dataclass(frozen=True, slots=True, eq=False)
class KernelTables:
    """Measured kernel times in microseconds.

    `attention` has rows (prefill_chunk, kv_prefill, n_decode, kv_decode of each, time of one layer);
    `dense` maps a kernel to (tokens, times of one call), `per_sequence` to (sequences, times of one call).
    """

    attention: Floats  # shape [points, 5]
    dense: Mapping[str, tuple[Floats, Floats]]
    per_sequence: Mapping[str, tuple[Floats, Floats]]
    layers: int

    def __post_init__(self) -> None:
        if self.attention.ndim != 2 or self.attention.shape[1] != 5:  # noqa: PLR2004 - the columns above
            raise ValueError(f"attention has shape {self.attention.shape}: give rows of 5 columns")
        missing = [name for name in (*PER_LAYER, *PER_ITERATION) if name not in self.dense]
        if missing:
            raise ValueError(
                f"dense has no kernel {missing[0]!r}: it needs {', '.join((*PER_LAYER, *PER_ITERATION))}"
            )


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients (seconds) and mean absolute relative errors: weighted, decode-only and with prefill."""

    coefficients: IterationCoefficients
    points: int
    error: float
    decode_error: float
    prefill_error: float

    @property
    def words(self) -> str:
        """The error as a profile states it."""
        return (
            f"MAPE {self.error:.1%} weighted ({self.decode_error:.1%} decode only, "
            f"{self.prefill_error:.1%} with a prefill chunk) over {self.points} points"
        )


def fit_iteration_time(
    tables: KernelTables,
    *,
    kv_capacity_tokens: int,
    max_sequences: int,
    token_budget: int,
    host_seconds: float = 0.0,
) -> Fit:
    """Fit c0..c4 to what this engine can run; `host_seconds` an iteration are added to c0 afterwards.

    Raises ValueError when fewer than ten points lie within the engine's limits, or when the measurements
    give a model that is not one (a negative cost).
    """
    chunk, context, decodes, kv_each, _ = tables.attention.T
    possible = (chunk + decodes <= token_budget) & (decodes <= max_sequences)
    possible &= decodes * kv_each + context + chunk <= kv_capacity_tokens
    possible &= (kv_each <= MOST_CONTEXT) & (context <= MOST_CONTEXT)
    if possible.sum() < 10:  # noqa: PLR2004 - twice the unknowns
        raise ValueError(f"{possible.sum()} measured points lie within the engine's limits: 10 are needed")
    seconds = _iteration_seconds(tables)[possible]
    terms = _terms(tables)[possible]
    decode_only = (chunk == 0)[possible]
    weights = _weights(decode_only)
    solution = _least_relative_squares(terms, seconds, weights)
    errors = np.abs(terms @ solution / seconds - 1)
    fixed, *others = (float(c) for c in solution)
    return Fit(
        IterationCoefficients(fixed + host_seconds, *others),
        int(possible.sum()),
        float((errors * weights).sum()),
        float(errors[decode_only].mean()) if decode_only.any() else 0.0,
        float(errors[~decode_only].mean()) if not decode_only.all() else 0.0,
    )


def _iteration_seconds(tables: KernelTables) -> Floats:
    chunk, _, decodes, _, attention = tables.attention.T
    tokens, sequences = chunk + decodes, decodes + (chunk > 0)
    layer = attention + sum(
        times * np.interp(tokens, *tables.dense[name]) for name, times in PER_LAYER.items()
    )
    once = sum(np.interp(tokens, *tables.dense[name]) for name in PER_ITERATION)
    sampled = sum(np.interp(sequences, *table) for table in tables.per_sequence.values())
    return np.asarray((tables.layers * layer + once + sampled) * 1e-6, dtype=float)


def _terms(tables: KernelTables) -> Floats:
    chunk, context, decodes, kv_each, _ = tables.attention.T
    return np.stack(
        [
            np.ones_like(chunk),
            chunk + decodes,
            decodes + (chunk > 0),
            decodes * kv_each,
            chunk * (context + chunk / 2),
        ],
        axis=1,
    )


def _weights(decode_only: NDArray[np.bool_]) -> Floats:
    """Weigh the two kinds of iteration as they occur, whatever the grid's counts; the sum is 1."""
    if decode_only.all() or not decode_only.any():
        return np.full(len(decode_only), 1 / len(decode_only))
    decode = DECODE_ONLY_WEIGHT / decode_only.sum()
    prefill = (1 - DECODE_ONLY_WEIGHT) / (~decode_only).sum()
    return np.asarray(np.where(decode_only, decode, prefill), dtype=float)


def _least_relative_squares(terms: Floats, seconds: Floats, weights: Floats) -> Floats:
    root: Floats = np.sqrt(weights)
    scaled = terms * (root / seconds)[:, None]
    norms = np.linalg.norm(scaled, axis=0)
    norms[norms == 0] = 1.0
    solution, *_ = np.linalg.lstsq(scaled / norms, root, rcond=None)
    return np.asarray(solution / norms, dtype=float)
