"""`presage engine fit`: measured tables in, a profile and its errors out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from presage_policies.engine import EngineProfile
from presage_policies.fitting import (
    ClosedLoop,
    EngineLimits,
    Fit,
    HostTime,
    Samples,
    fit_coefficients,
    host_time,
    judged,
    layer_samples,
    operation_samples,
    together,
)

from presage_cli.engine.measurements import (
    closed_loop,
    kernel_tables,
    of_kind,
    operation_tables,
    static_batches,
)
from presage_cli.engine.options import FitOptions, Setting, setting_of
from presage_cli.engine.tables import Table

HOST_SECONDS = 0.002  # a step, published with LLMServingSim's tables; used when nothing measured tells it


@dataclass(frozen=True, slots=True)
class PointError:
    """One end-to-end point: clients, tokens, and the TPOT that was measured and that the profile gives, in s."""

    clients: int
    prompt_tokens: int
    output_tokens: int
    measured: float
    modelled: float

    @property
    def error(self) -> float:
        """Signed, as a fraction of what was measured."""
        return self.modelled / self.measured - 1


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted profile, how well the device's iterations and the end-to-end points are met, and warnings."""

    profile: EngineProfile
    fit: Fit
    points: tuple[PointError, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def fit_profile(tables: Sequence[Table], metas: Sequence[dict[str, Any]], options: FitOptions) -> Fitted:
    """Fit a profile to whatever the tables hold.

    Kernel or operation tables give the device's time; end-to-end points beside them give the host's, and
    alone they give both. Raises ValueError naming what is wrong or missing.
    """
    if not tables:
        raise ValueError("no table is given: name the files of measured times")
    setting = setting_of(tables, metas, options)
    limits = setting.limits()
    device = _device_samples(tables, setting, limits)
    points = closed_loop(tables, setting)
    measured = points.fits(limits.kv_capacity_tokens) if points else None
    if device is None:
        fit = fit_coefficients(_end_to_end_samples(tables, setting, measured))
        host = HostTime(0.0)
    else:
        fit = fit_coefficients(device)
        host = _host(options, fit, measured)
    coefficients = host.added_to(fit.coefficients)
    profile = EngineProfile(
        name=options.name or _name(setting),
        coefficients=coefficients,
        kv_capacity_tokens=limits.kv_capacity_tokens,
        block_tokens=setting.block_tokens,
        max_sequences=limits.max_sequences,
        token_budget=limits.token_budget,
        tensor_parallel=setting.tensor_parallel,
        host_seconds=host.per_iteration,
        host_seconds_per_sequence=host.per_sequence,
        source=_source(tables, setting, device is not None, measured is not None),
        fit_error=_errors(fit, coefficients, measured, device is not None),
    )
    return Fitted(profile, fit, _point_errors(profile, measured), _warnings(tables, setting))


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
            f"the tables are of {kinds} times, which make no iteration: add attention and dense tables of layers, "
            "or gemm, context and generation attention tables of operations"
        )
    return together(*parts)


def _host(options: FitOptions, fit: Fit, measured: ClosedLoop | None) -> HostTime:
    if options.host_milliseconds is not None or options.host_sequence_microseconds is not None:
        return HostTime(
            (options.host_milliseconds or 0.0) * 1e-3, (options.host_sequence_microseconds or 0.0) * 1e-6
        )
    return host_time(fit.coefficients, measured.decoding()) if measured else HostTime(HOST_SECONDS)


def _name(setting: Setting) -> str:
    degree = f"-tp{setting.tensor_parallel}" if setting.tensor_parallel > 1 else ""
    words = f"{setting.device}-{setting.model.rsplit('/', 1)[-1]}{degree}".lower().split()
    return "-".join(words)


def _source(tables: Sequence[Table], setting: Setting, device: bool, points: bool) -> str:
    files = ", ".join(table.path.name for table in tables)
    told = setting.options.host_milliseconds is not None
    host = "as given" if told else "from the end-to-end points" if points else "2 ms a step, the default"
    return (
        f"presage engine fit of {files}; {setting.model}, {setting.options.dtype}, tensor parallel "
        f"{setting.tensor_parallel}; {setting.capacity_words}; "
        + (f"host time {host}" if device else "device and host time together")
        + (f". {setting.options.provenance}" if setting.options.provenance else "")
    )


def _errors(fit: Fit, coefficients: Any, measured: ClosedLoop | None, device: bool) -> str:
    if measured is None or not device:
        return fit.words
    samples = measured.decoding()
    whole = judged(coefficients, samples)
    return f"{fit.words}; TPOT of {whole.points} end-to-end points {whole.error:.1%}" + _crossed(
        fit, samples, measured
    )


def _crossed(fit: Fit, samples: Samples, measured: ClosedLoop) -> str:
    """Say how well points are met whose prompt length the host time was not fitted to."""
    lengths = sorted(set(measured.prompt_tokens))
    if len(lengths) < 2:  # noqa: PLR2004 - one to fit, one to check
        return ""
    errors = []
    for length in lengths:
        held = measured.prompt_tokens == length
        host = host_time(fit.coefficients, samples.where(~held))
        errors.append(judged(host.added_to(fit.coefficients), samples.where(held)).error * held.sum())
    return f" ({sum(errors) / len(samples.seconds):.1%} at prompt lengths left out of the host time's fit)"


def _point_errors(profile: EngineProfile, measured: ClosedLoop | None) -> tuple[PointError, ...]:
    if measured is None:
        return ()
    c = profile.coefficients
    line = np.array([c.fixed, c.per_token, c.per_sequence, c.per_kv_token, c.per_prefill_attention])
    samples = measured.decoding()
    return tuple(
        PointError(int(clients), int(prompt), int(output), float(real), float(model))
        for clients, prompt, output, real, model in zip(
            measured.clients,
            measured.prompt_tokens,
            measured.output_tokens,
            samples.seconds,
            samples.terms @ line,
            strict=True,
        )
    )


def _warnings(tables: Sequence[Table], setting: Setting) -> tuple[str, ...]:
    if setting.tensor_parallel == 1 or not of_kind(tables, "attention") or of_kind(tables, "all_reduce"):
        return ()
    return (
        f"the tables of tensor-parallel degree {setting.tensor_parallel} have no all-reduce, and without its time "
        "the profile is too fast: add an all-reduce table (num_gpus, message_size, latency in ms)",
    )
