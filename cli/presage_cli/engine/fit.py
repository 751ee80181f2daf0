"""`presage engine fit`: measured tables in, a profile and its errors out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from presage_policies.engine import EngineProfile
from presage_policies.fitting import (
    ClosedLoop,
    EngineLimits,
    Fit,
    Overhead,
    Samples,
    fit_coefficients,
    layer_samples,
    operation_samples,
    overhead,
    together,
)

from presage_cli.engine.judgement import PointError, crossed_error, point_errors
from presage_cli.engine.measurements import (
    all_reduce_curves,
    closed_loop,
    kernel_tables,
    of_kind,
    operation_tables,
    static_batches,
)
from presage_cli.engine.options import FitOptions, Setting, setting_of
from presage_cli.engine.tables import Table

# Without end-to-end points: what the only bfloat16 points of vLLM (Qwen3-32B on two H100) give when all
# of the host's time is charged to the step, 2.0 ms. (docs/reference/engine-profiles.md)
DEFAULT_OVERHEAD = Overhead(2e-3)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted profile, how well it meets each end-to-end point, and warnings."""

    profile: EngineProfile
    points: tuple[PointError, ...]
    warnings: tuple[str, ...]


def fit_profile(tables: Sequence[Table], metas: Sequence[dict[str, Any]], options: FitOptions) -> Fitted:
    """Fit a profile to whatever the tables hold.

    Kernel or operation tables give the device's time; end-to-end points beside them give the host's, and
    alone they give both. Raises ValueError naming what is wrong or missing.
    """
    if not tables:
        raise ValueError("no table is given: name the files of measured times")
    setting = setting_of(tables, metas, options)
    limits = setting.limits()
    loop = closed_loop(tables, setting)
    points = loop.fits(limits.kv_capacity_tokens) if loop else None
    device = _device_samples(tables, setting, limits)
    fit = fit_coefficients(device or _end_to_end_samples(tables, setting, points))
    extra = _overhead(options, fit, points) if device else Overhead(0.0)
    profile = EngineProfile(
        name=options.name or _name(setting),
        coefficients=extra.added_to(fit.coefficients),
        kv_capacity_tokens=limits.kv_capacity_tokens,
        block_tokens=setting.block_tokens,
        max_sequences=limits.max_sequences,
        token_budget=limits.token_budget,
        tensor_parallel=setting.tensor_parallel,
        host_seconds=extra.per_iteration,
        host_seconds_per_sequence=extra.per_sequence,
        source=_source(tables, setting, _overhead_words(options, extra, device, points)),
    )
    errors = point_errors(profile.coefficients, points) if points else ()
    words = _error_words(fit, errors, points if device and not options.host_given else None, options)
    return Fitted(replace(profile, fit_error=words), errors, _warnings(tables, setting))


def _device_samples(tables: Sequence[Table], setting: Setting, limits: EngineLimits) -> Samples | None:
    if of_kind(tables, "attention"):
        return layer_samples(kernel_tables(tables, setting), limits)
    if of_kind(tables, "gemm"):
        return operation_samples(
            operation_tables(tables, setting), setting.architecture, setting.tensor_parallel, limits
        )
    return None


def _end_to_end_samples(tables: Sequence[Table], setting: Setting, points: ClosedLoop | None) -> Samples:
    parts = [points.decoding(), points.prefilling()] if points else []
    batches = static_batches(tables, setting)
    if batches:
        parts.append(batches.samples())
    if not parts:
        kinds = ", ".join(sorted({table.kind.replace("_", " ") for table in tables}))
        raise ValueError(
            f"the tables are of {kinds} times, which make no iteration: add attention and dense tables of "
            "layers, or gemm, context and generation attention tables of operations"
        )
    return together(*parts)


def _overhead(options: FitOptions, fit: Fit, points: ClosedLoop | None) -> Overhead:
    if options.host_given:
        return Overhead(
            (options.host_milliseconds or 0.0) * 1e-3, (options.host_sequence_microseconds or 0.0) * 1e-6
        )
    if points is None:
        return DEFAULT_OVERHEAD
    return overhead(fit.coefficients, points.decoding(), **options.overhead_terms)


def _name(setting: Setting) -> str:
    degree = f"-tp{setting.tensor_parallel}" if setting.tensor_parallel > 1 else ""
    words = f"{setting.device}-{setting.model.rsplit('/', 1)[-1]}{degree}".lower().split()
    return "-".join(words)


def _source(tables: Sequence[Table], setting: Setting, overhead_words: str) -> str:
    files = ", ".join(table.path.name for table in tables)
    return (
        f"presage engine fit of {files}; {setting.model}, {setting.options.dtype}, tensor parallel "
        f"{setting.tensor_parallel}; {setting.capacity_words}; {overhead_words}"
        + (f". {setting.options.provenance}" if setting.options.provenance else "")
    )


def _overhead_words(
    options: FitOptions, extra: Overhead, device: Samples | None, points: ClosedLoop | None
) -> str:
    if device is None:
        return "device and host time together"
    whence = "as given" if options.host_given else "from the end-to-end points" if points else "by default"
    correction = (
        f", and {extra.per_token * 1e6:+.1f} µs a prefilled token"
        if options.correct_prefill and points
        else ""
    )
    return (
        f"host time {whence}, {extra.per_iteration * 1e3:.2f} ms a step and {extra.per_sequence * 1e6:.1f} "
        f"µs a sequence{correction}"
    )


def _error_words(
    fit: Fit, errors: Sequence[PointError], crossed: ClosedLoop | None, options: FitOptions
) -> str:
    words = fit.words
    if errors:
        mean = sum(abs(error.error) for error in errors) / len(errors)
        worst = max(abs(error.error) for error in errors)
        words += f"; TPOT of {len(errors)} end-to-end points {mean:.1%} (worst {worst:.1%}"
        left_out = crossed_error(fit.coefficients, crossed, options.overhead_terms) if crossed else None
        if left_out is not None:
            words += f"; {left_out:.1%} at prompt lengths that the host time was not fitted to"
        words += ")"
    return words


def _warnings(tables: Sequence[Table], setting: Setting) -> tuple[str, ...]:
    if setting.tensor_parallel == 1 or not of_kind(tables, "attention") or all_reduce_curves(tables, setting):
        return ()
    warning = (
        f"the tables of tensor-parallel degree {setting.tensor_parallel} have no all-reduce, and without its "
        "time the profile is too fast: add an all-reduce table (num_gpus, message_size, latency in ms), "
        "or give --all-reduce-us and --all-reduce-gbs"
    )
    return (warning,)
