"""Iterations put together from tables of a single layer's kernels.

A whole iteration is `layers` times a layer's kernels plus what runs once. (The form of the tables is that of
LLMServingSim's profiler; the sum is ours.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from presage_policies.fitting.limits import EngineLimits, occurrence
from presage_policies.fitting.operations import Curve, all_reduce_seconds
from presage_policies.fitting.samples import Floats, Samples, iteration_terms

CALLS: Mapping[str, int] = {"layernorm": 2}  # a layer's kernels run once in it; the norm before each half
PER_ITERATION: tuple[str, ...] = ("embedding", "final_layernorm")
NEEDED: tuple[str, ...] = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")


@dataclass(frozen=True, slots=True, eq=False)
class AllReduce:
    """What tensor parallelism adds to half a layer: curves over a message's elements, and a token's."""

    curves: Mapping[bool, Curve]
    token_elements: int


@dataclass(frozen=True, slots=True, eq=False)
class KernelTables:
    """Measured kernel times in microseconds, of one device.

    `attention` has rows (prefill_chunk, kv_prefill, n_decode, kv_decode of each, time of one layer);
    `dense` maps a kernel to (tokens, times of one call), `per_sequence` to (sequences, times of one call).
    """

    attention: Floats  # shape [points, 5]
    dense: Mapping[str, tuple[Floats, Floats]]
    per_sequence: Mapping[str, tuple[Floats, Floats]]
    layers: int
    all_reduce: AllReduce | None = None

    def __post_init__(self) -> None:
        if self.attention.ndim != 2 or self.attention.shape[1] != 5:  # noqa: PLR2004 - the columns above
            raise ValueError(f"attention has shape {self.attention.shape}: give rows of 5 columns")
        missing = [name for name in NEEDED if name not in self.dense]
        if missing:
            raise ValueError(f"dense has no kernel {missing[0]!r}: it needs {', '.join(NEEDED)}")


def layer_samples(tables: KernelTables, limits: EngineLimits) -> Samples:
    """Return the iterations of the attention grid that the engine can run, weighed as they occur."""
    possible = limits.admits(tables.attention[:, :4])
    rows = tables.attention[possible]
    seconds = _iteration_seconds(tables, rows)
    return Samples(iteration_terms(*rows[:, :4].T), seconds, occurrence(rows))


def _iteration_seconds(tables: KernelTables, rows: Floats) -> Floats:
    chunk, _, decodes, _, attention = rows.T
    tokens, sequences = chunk + decodes, decodes + (chunk > 0)
    layer = attention.copy()
    once = np.zeros_like(layer)
    for name, curve in tables.dense.items():
        times = np.interp(tokens, *curve)
        if name in PER_ITERATION:
            once += times
        else:
            layer += CALLS.get(name, 1) * times
    for curve in tables.per_sequence.values():
        once += np.interp(sequences, *curve)
    seconds = (tables.layers * layer + once) * 1e-6
    if tables.all_reduce:
        message = tokens * tables.all_reduce.token_elements
        seconds += tables.layers * 2 * all_reduce_seconds(tables.all_reduce.curves, message, tokens)
    return np.asarray(seconds, dtype=float)
