"""Iterations put together from tables of single operations: matrix products, attention, all-reduce.

The tables are per device, so tensor parallelism divides the shapes and adds an all-reduce after each
layer's attention and MLP. Everything else in a layer moves activations through memory and is charged by
its traffic. (The sum is ours; the tables' form is that of NVIDIA's aiconfigurator.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from presage_policies.fitting.architecture import Architecture
from presage_policies.fitting.limits import EngineLimits, occurrence
from presage_policies.fitting.samples import Floats, Samples, iteration_terms

Curve = tuple[Floats, Floats]  # ascending positions, seconds

GRAPH_TOKENS = 512  # vLLM replays captured graphs up to so many tokens an iteration, and launches above
KERNEL_SECONDS = (
    2.6e-6  # the least of a norm or activation kernel, as the per-layer tables measure it at T = 1
)
PASSES = 3  # such kernels a layer that are paid for even when they move nothing: two norms and an activation


@dataclass(frozen=True, slots=True, eq=False)
class OperationTables:
    """Seconds of single operations on one device.

    `gemm[(n, k)]` is a curve over rows m; `prefill` a curve over the prompt's tokens (one sequence, nothing
    cached); `decode[batch]` a curve over the context of each of `batch` sequences; `all_reduce[graph]` a
    curve over the elements of a message, as captured in a graph or launched. The attention curves are of the
    device's share of the heads.
    """

    gemm: Mapping[tuple[int, int], Curve]
    prefill: Curve
    decode: Mapping[int, Curve]
    all_reduce: Mapping[bool, Curve] | None
    memory_bytes_per_second: float


def operation_samples(
    tables: OperationTables, shape: Architecture, tensor_parallel: int, limits: EngineLimits
) -> Samples:
    """Return the iterations that the engine can run and the tables reach, weighed as they occur.

    The heads and the widths are divided by `tensor_parallel`. Raises ValueError when no all-reduce is given
    for more than one.
    """
    if tensor_parallel > 1 and not tables.all_reduce:
        raise ValueError(
            f"tensor parallel degree {tensor_parallel} needs an all-reduce table: add "
            "…_custom_allreduce_perf.parquet with rows of that num_gpus, or give its latency and bandwidth"
        )
    rows = limits.grid()
    seconds = _iteration_seconds(tables, shape, tensor_parallel, rows)
    reached = np.isfinite(seconds)
    return Samples(iteration_terms(*rows[reached].T), seconds[reached], occurrence(rows[reached]))


def _iteration_seconds(
    tables: OperationTables, shape: Architecture, tensor_parallel: int, rows: Floats
) -> Floats:
    """Return the seconds of (chunk, its context, decodes, context of each); NaN where the tables end."""
    chunk, context, decodes, kv_each = rows.T
    tokens, sequences = chunk + decodes, decodes + (chunk > 0)
    layer = _layer_products(tables, shape, tensor_parallel, tokens)
    layer += _prefill_attention(tables.prefill, chunk, context) + _decode_attention(tables, decodes, kv_each)
    layer += _activations(tables, shape, tensor_parallel, tokens)
    if tensor_parallel > 1 and tables.all_reduce:
        layer += 2 * all_reduce_seconds(tables.all_reduce, tokens * shape.hidden, tokens)
    output = _product(tables.gemm, shape.vocabulary / tensor_parallel, shape.hidden, sequences)
    return np.asarray(shape.layers * layer + output, dtype=float)


def _layer_products(
    tables: OperationTables, shape: Architecture, tensor_parallel: int, tokens: Floats
) -> Floats:
    (qkv, hidden), (_, attention), (gated, _), (_, inner) = shape.projections
    shards = (
        (qkv / tensor_parallel, hidden),
        (hidden, attention / tensor_parallel),
        (gated / tensor_parallel, hidden),
        (hidden, inner / tensor_parallel),
    )
    return np.asarray(sum(_product(tables.gemm, n, k, tokens) for n, k in shards), dtype=float)


def _product(gemm: Mapping[tuple[int, int], Curve], n: float, k: float, rows: Floats) -> Floats:
    """Return the seconds of [rows, k] x [k, n], linear between the widths that were measured."""
    if (int(n), int(k)) in gemm:
        return _read(gemm[int(n), int(k)], rows)
    depths = sorted({depth for _, depth in gemm})
    below, above, share = _neighbours(depths, k)
    return (1 - share) * _at_depth(gemm, n, below, rows) + share * _at_depth(gemm, n, above, rows)


def _at_depth(gemm: Mapping[tuple[int, int], Curve], n: float, k: float, rows: Floats) -> Floats:
    widths = sorted(width for width, depth in gemm if depth == k)
    below, above, share = _neighbours(widths, n)
    low, high = _read(gemm[int(below), int(k)], rows), _read(gemm[int(above), int(k)], rows)
    return np.asarray((1 - share) * low + share * high, dtype=float)


def _neighbours(measured: list[int], wanted: float) -> tuple[int, int, float]:
    """Return the two measured values around one and its place between them; beyond the ends, the line's."""
    if len(measured) == 1:
        return measured[0], measured[0], 0.0
    at = int(np.clip(np.searchsorted(measured, wanted), 1, len(measured) - 1))
    below, above = measured[at - 1], measured[at]
    return below, above, (wanted - below) / (above - below)


def _read(curve: Curve, positions: Floats) -> Floats:
    """Interpolate; beyond the last point time grows in proportion."""
    at, seconds = curve
    beyond = np.maximum(1.0, positions / at[-1])
    return np.asarray(np.interp(positions, at, seconds) * beyond, dtype=float)


def _prefill_attention(curve: Curve, chunk: Floats, context: Floats) -> Floats:
    """Attention of a chunk after a context: of the whole causal triangle, less that of the context's."""
    tokens, seconds = curve
    triangle = (tokens**2, seconds)
    whole, cached = _read(triangle, (context + chunk) ** 2), _read(triangle, context**2)
    alone = _read(triangle, chunk**2)
    return np.where(chunk > 0, np.maximum(np.where(context > 0, whole - cached, whole), alone), 0.0)


def _decode_attention(tables: OperationTables, decodes: Floats, kv_each: Floats) -> Floats:
    batches = sorted(tables.decode)
    grid = np.stack([_read_within(tables.decode[batch], kv_each) for batch in batches])
    seconds = np.zeros_like(decodes)
    for row, count in enumerate(decodes):
        if count > 0:
            below, above, share = _neighbours(batches, float(max(count, batches[0])))
            low, high = grid[batches.index(below), row], grid[batches.index(above), row]
            seconds[row] = low if share == 0 else high if share == 1 else (1 - share) * low + share * high
    return seconds


def _read_within(curve: Curve, positions: Floats) -> Floats:
    return np.asarray(np.interp(positions, *curve, right=np.nan), dtype=float)


def _activations(
    tables: OperationTables, shape: Architecture, tensor_parallel: int, tokens: Floats
) -> Floats:
    """Norms, rotary embedding and activation: bytes moved, in 16 bits, and never less than a kernel."""
    norms = 2 * 4 * shape.hidden
    rotary = 2 * (shape.heads + shape.kv_heads) * shape.head_dim / tensor_parallel
    gate = 3 * shape.intermediate / tensor_parallel
    moved = 2 * (norms + rotary + gate) * tokens / tables.memory_bytes_per_second
    return np.asarray(PASSES * KERNEL_SECONDS + moved, dtype=float)


def all_reduce_seconds(curves: Mapping[bool, Curve], elements: Floats, tokens: Floats) -> Floats:
    """Return the seconds of each all-reduce: captured in a graph, or launched when tokens are many."""
    captured = curves.get(True) or curves[False]
    launched = curves.get(False) or curves[True]
    return np.where(tokens <= GRAPH_TOKENS, _read(captured, elements), _read(launched, elements))
