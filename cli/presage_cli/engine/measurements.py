"""From tables as files to measurements as the fit takes them."""

from collections.abc import Sequence

import numpy as np
from presage_policies.fitting import (
    AllReduce,
    ClosedLoop,
    Floats,
    KernelTables,
    OperationTables,
    StaticBatches,
)

from presage_cli.engine.options import Setting, degree_of
from presage_cli.engine.tables import Table, TableError, curve

Curve = tuple[Floats, Floats]

PRECISIONS = {"bfloat16": "bf16", "float16": "bf16", "fp8": "fp8", "fp8_block": "fp8"}


def of_kind(tables: Sequence[Table], kind: str) -> list[Table]:
    """Return the tables of a kind."""
    return [table for table in tables if table.kind == kind]


def kernel_tables(tables: Sequence[Table], setting: Setting) -> KernelTables:
    """Build the per-layer tables of the setting's tensor-parallel degree."""
    chosen = [table for table in tables if degree_of(table) in {None, setting.tensor_parallel}]
    sampling = of_kind(chosen, "per_sequence")
    return KernelTables(
        _attention(_single(chosen, "attention")),
        _by_layer(_single(chosen, "dense"), "tokens"),
        _by_layer(_single(chosen, "per_sequence"), "sequences") if sampling else {},
        setting.layers,
        _layer_all_reduce(tables, setting),
    )


def operation_tables(tables: Sequence[Table], setting: Setting) -> OperationTables:
    """Build the tables of single operations for the setting's model, precision and degree."""
    return OperationTables(
        gemm=_products(_needed(tables, "gemm"), setting),
        prefill=_prefill(_needed(tables, "context"), setting),
        decode=_decode(_needed(tables, "generation"), setting),
        all_reduce=all_reduce_curves(tables, setting),
        memory_bytes_per_second=setting.options.memory_bandwidth_gbs * 1e9,
    )


def all_reduce_curves(tables: Sequence[Table], setting: Setting) -> dict[bool, Curve] | None:
    """Return the all-reduce curves (captured in a graph or launched) between that many devices, if any.

    What the options say of latency and bandwidth (of a message of 16-bit elements) wins over the tables.
    The tables' `message_size` counts elements, as their own reader (aiconfigurator) does, not bytes.
    """
    latency, bandwidth = setting.options.all_reduce_microseconds, setting.options.all_reduce_gbs
    if latency or bandwidth:
        elements = np.array([0.0, 1e9])
        return {True: (elements, (latency or 0.0) * 1e-6 + 2e-9 * elements / (bandwidth or np.inf))}
    curves: dict[bool, Curve] = {}
    for table in of_kind(tables, "all_reduce"):
        if setting.tensor_parallel not in table.numbers("num_gpus"):
            continue
        wanted = table.matching("num_gpus", float(setting.tensor_parallel))
        source = [a + b for a, b in zip(wanted.words("kernel_source"), wanted.words("backend"), strict=True)]
        for graph in (True, False):
            rows = wanted.where(["graph" in word if graph else "graph" not in word for word in source])
            if len(rows):
                curves[graph] = curve(rows, "message_size", rows.numbers("latency") * 1e-3)
    return curves or None


def closed_loop(tables: Sequence[Table], setting: Setting) -> ClosedLoop | None:
    """Return the end-to-end points of the setting's model, degree and precision, without duplicates."""
    silicon = of_kind(tables, "silicon")
    if not silicon:
        return None
    points = np.concatenate([_points(table, setting) for table in silicon])
    points = np.unique(points, axis=0)
    return ClosedLoop(*(points[:, column] * scale for column, scale in enumerate((1, 1, 1, 1e-3, 1e-3))))


def static_batches(tables: Sequence[Table], setting: Setting) -> StaticBatches | None:
    """Return splitwise's batches of the setting's model, device and degree."""
    found = of_kind(tables, "splitwise")
    if not found:
        return None
    table = found[0].matching("model", setting.options.model).matching("hardware", setting.options.hardware)
    table = table.matching("tensor_parallel", float(setting.tensor_parallel))
    for column, flag in (("model", "--model"), ("hardware", "--hardware")):
        if len(set(table.words(column))) > 1:
            raise TableError(
                f"{table.path}: column {column!r} has {', '.join(sorted(set(table.words(column))))}: "
                f"choose one with {flag}"
            )
    return StaticBatches(
        table.numbers("batch_size"),
        table.numbers("prompt_size"),
        table.numbers("token_size"),
        table.numbers("prompt_time") * 1e-3,
        table.numbers("token_time") * 1e-3,
    )


def _needed(tables: Sequence[Table], kind: str) -> list[Table]:
    found = of_kind(tables, kind)
    if not found:
        raise ValueError(f"no table of {kind.replace('_', ' ')} times is among those given: add it")
    return found


def _single(tables: Sequence[Table], kind: str) -> Table:
    found = _needed(tables, kind)
    if len(found) > 1:
        raise ValueError(
            f"{found[0].path} and {found[1].path} both have {kind.replace('_', ' ')} times of layers: give "
            "one device's set of tables"
        )
    return found[0]


def _attention(table: Table) -> Floats:
    return np.stack(
        [
            table.numbers("prefill_chunk"),
            table.numbers("kv_prefill", 0.0),
            table.numbers("n_decode"),
            table.numbers("kv_decode"),
            table.numbers("time_us"),
        ],
        axis=1,
    )


def _by_layer(table: Table, axis: str) -> dict[str, Curve]:
    names = table.words("layer")
    curves = {}
    for name in sorted(set(names)):
        rows = table.where([word == name for word in names])
        curves[name] = curve(rows, axis, rows.numbers("time_us"))
    return curves


def _layer_all_reduce(tables: Sequence[Table], setting: Setting) -> AllReduce | None:
    if setting.tensor_parallel == 1:
        return None
    curves = all_reduce_curves(tables, setting)
    return AllReduce(curves, setting.architecture.hidden) if curves else None


def _products(tables: Sequence[Table], setting: Setting) -> dict[tuple[int, int], Curve]:
    least: dict[tuple[int, int], dict[float, float]] = {}
    for table in tables:
        rows = _of_type(table, "gemm_dtype", setting.options.dtype)
        columns = (rows.numbers(name) for name in ("m", "n", "k", "latency"))
        for m, n, k, latency in zip(*columns, strict=True):
            times = least.setdefault((int(n), int(k)), {})
            times[m] = min(times.get(m, np.inf), latency * 1e-3)
    return {widths: _ascending(times) for widths, times in least.items()}


def _prefill(tables: Sequence[Table], setting: Setting) -> Curve:
    times: dict[float, float] = {}
    for table in tables:
        rows = _heads(table, setting).matching("batch_size", 1.0)
        for tokens, latency in zip(rows.numbers("isl"), rows.numbers("latency"), strict=True):
            times[tokens] = min(times.get(tokens, np.inf), latency * 1e-3)
    return _ascending(times)


def _decode(tables: Sequence[Table], setting: Setting) -> dict[int, Curve]:
    times: dict[int, dict[float, float]] = {}
    for table in tables:
        rows = _heads(table, setting)
        columns = (rows.numbers(name) for name in ("batch_size", "step", "latency"))
        for batch, step, latency in zip(*columns, strict=True):
            of_batch = times.setdefault(int(batch), {})
            of_batch[step + 1] = min(of_batch.get(step + 1, np.inf), latency * 1e-3)
    return {batch: _ascending(of_batch) for batch, of_batch in times.items()}


def _heads(table: Table, setting: Setting) -> Table:
    """Return the rows of the device's share of the heads, without a sliding window."""
    shape, degree = setting.architecture, setting.tensor_parallel
    rows = table.matching("head_dim", float(shape.head_dim)).matching("window_size", 0.0)
    rows = _of_type(rows, "kv_cache_dtype", setting.options.kv_dtype)
    rows = rows.matching("num_heads", float(shape.heads // degree))
    return rows.matching("num_key_value_heads", float(max(1, shape.kv_heads // degree)))


def _of_type(table: Table, column: str, wanted: str) -> Table:
    """Return the rows of a number format; of the two of 16 bits one stands in for the other."""
    there = set(table.words(column))
    other = {"bfloat16": "float16", "float16": "bfloat16"}.get(wanted, wanted)
    return table.matching(column, other if wanted not in there and other in there else wanted)


def _ascending(times: dict[float, float]) -> Curve:
    positions = sorted(times)
    return np.array(positions), np.array([times[position] for position in positions])


def _points(table: Table, setting: Setting) -> Floats:
    rows = table.where([value in {"", "agg"} for value in table.words("mode")])
    rows = rows.matching("backend", setting.options.backend).matching("system", setting.options.system)
    rows = rows.matching("tp_size", float(setting.tensor_parallel))
    rows = rows.where([_same_model(value, setting.model) for value in rows.words("model_path")])
    wanted = PRECISIONS[setting.options.dtype]
    rows = rows.where([(value or "bf16") == wanted for value in rows.words("precision")])
    rows = rows.where([value not in {"", "None"} for value in rows.words("batch_size")])
    if not len(rows):
        raise TableError(
            f"{table.path}: no row is of {setting.model}, tp_size {setting.tensor_parallel} and precision "
            f"{wanted}: change --model, --tp, --dtype, --system or --backend, or leave the file out"
        )
    for column, flag in (("backend", "--backend"), ("system", "--system")):
        if len(set(rows.words(column))) > 1:
            raise TableError(
                f"{table.path}: column {column!r} has {', '.join(sorted(set(rows.words(column))))}: "
                f"choose one with {flag}"
            )
    names = ("batch_size", "isl", "osl", "silicon_ttft_ms", "silicon_tpot_ms")
    return np.stack([rows.numbers(name) for name in names], axis=1)


def _same_model(one: str, other: str) -> bool:
    """Say whether two names are of one model, whoever owns the repository and however it was tuned."""
    a, b = (name.rsplit("/", 1)[-1].lower().removesuffix("-instruct") for name in (one, other))
    return not a or a == b
