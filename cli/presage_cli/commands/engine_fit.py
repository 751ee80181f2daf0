"""`presage engine fit`: makes a profile from measured tables."""

from pathlib import Path
from typing import Annotated

import typer

FITTED = "Fitted"
LIMITS = "The engine's limits"
ROWS = "Which rows of the tables"


def fit(  # noqa: PLR0917 - typer reads options from parameters
    tables: Annotated[
        list[Path],
        typer.Argument(
            help="Measured tables, told apart by their columns: per-layer times, single operations, "
            "end-to-end points, splitwise's; their meta files; or folders of such."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The profile to write (YAML).")],
    name: Annotated[str | None, typer.Option(help="The profile's name.")] = None,
    model: Annotated[str | None, typer.Option(help="The model's name.", rich_help_panel=FITTED)] = None,
    architecture: Annotated[
        Path | None,
        typer.Option(help="The model's shape as YAML, when its name is not known.", rich_help_panel=FITTED),
    ] = None,
    layers: Annotated[int | None, typer.Option(help="Layers of the model.", rich_help_panel=FITTED)] = None,
    tp: Annotated[int | None, typer.Option(help="Tensor-parallel degree.", rich_help_panel=FITTED)] = None,
    dtype: Annotated[
        str, typer.Option(help="Weights: bfloat16, float16, fp8 or fp8_block.", rich_help_panel=FITTED)
    ] = "bfloat16",
    kv_dtype: Annotated[
        str, typer.Option(help="KV cache: bfloat16, float16 or fp8.", rich_help_panel=FITTED)
    ] = "bfloat16",
    host_ms: Annotated[
        float | None,
        typer.Option(
            help="Host time of an iteration, ms; else from end-to-end points, else 2.", rich_help_panel=FITTED
        ),
    ] = None,
    host_sequence_us: Annotated[
        float | None,
        typer.Option(help="Host time of a sequence in an iteration, µs.", rich_help_panel=FITTED),
    ] = None,
    correct_prefill: Annotated[
        bool,
        typer.Option(
            help="Let end-to-end points correct a prefilled token's time too.", rich_help_panel=FITTED
        ),
    ] = False,
    host_step_only: Annotated[
        bool,
        typer.Option(help="Charge all of the host's time to the iteration.", rich_help_panel=FITTED),
    ] = False,
    all_reduce_us: Annotated[
        float | None,
        typer.Option(help="An all-reduce's latency, µs, instead of a table.", rich_help_panel=FITTED),
    ] = None,
    all_reduce_gbs: Annotated[
        float | None,
        typer.Option(help="An all-reduce's GB/s, instead of a table.", rich_help_panel=FITTED),
    ] = None,
    memory_bandwidth_gbs: Annotated[
        float,
        typer.Option(
            help="GB/s that norms and activations reach (operation tables).", rich_help_panel=FITTED
        ),
    ] = 2700.0,
    kv_capacity_tokens: Annotated[
        int | None, typer.Option(help="KV capacity; else by arithmetic.", rich_help_panel=LIMITS)
    ] = None,
    memory_gib: Annotated[
        float | None, typer.Option(help="Memory of a device, GiB.", rich_help_panel=LIMITS)
    ] = None,
    utilization: Annotated[
        float | None, typer.Option(help="Share of it the engine takes (0.9).", rich_help_panel=LIMITS)
    ] = None,
    reserved_gb: Annotated[
        float,
        typer.Option(help="GB a device for activations, graphs, communication.", rich_help_panel=LIMITS),
    ] = 1.69,
    block_tokens: Annotated[
        int | None, typer.Option(help="Tokens of a KV block.", rich_help_panel=LIMITS)
    ] = None,
    token_budget: Annotated[
        int | None,
        typer.Option(help="Most tokens of an iteration: the chunk of a prefill.", rich_help_panel=LIMITS),
    ] = None,
    max_sequences: Annotated[
        int | None, typer.Option(help="Most sequences of an iteration.", rich_help_panel=LIMITS)
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="`system` of end-to-end points.", rich_help_panel=ROWS)
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="`backend` of end-to-end points.", rich_help_panel=ROWS)
    ] = None,
    hardware: Annotated[
        str | None, typer.Option(help="`hardware` of splitwise's table.", rich_help_panel=ROWS)
    ] = None,
    provenance: Annotated[
        str, typer.Option(help="Where the tables come from: ends the profile's source.")
    ] = "",
) -> None:
    """Fit an engine profile to measured tables and say how well it fits."""
    import yaml  # noqa: PLC0415 - heavy imports stay inside the command
    from presage_policies.fitting import architecture_from  # noqa: PLC0415

    from presage_cli.engine.fit import fit_profile  # noqa: PLC0415
    from presage_cli.engine.options import FitOptions  # noqa: PLC0415
    from presage_cli.engine.profile_file import write_profile  # noqa: PLC0415
    from presage_cli.engine.tables import read_tables  # noqa: PLC0415

    try:
        shape = (
            architecture_from(yaml.safe_load(architecture.read_text("utf-8")), str(architecture))
            if architecture
            else None
        )
        options = FitOptions(
            name=name,
            model=model,
            architecture=shape,
            layers=layers,
            tensor_parallel=tp,
            dtype=dtype,
            kv_dtype=kv_dtype,
            kv_capacity_tokens=kv_capacity_tokens,
            memory_gib=memory_gib,
            utilization=utilization,
            reserved_gb=reserved_gb,
            block_tokens=block_tokens,
            token_budget=token_budget,
            max_sequences=max_sequences,
            host_milliseconds=host_ms,
            host_sequence_microseconds=host_sequence_us,
            correct_prefill=correct_prefill,
            host_step_only=host_step_only,
            all_reduce_microseconds=all_reduce_us,
            all_reduce_gbs=all_reduce_gbs,
            memory_bandwidth_gbs=memory_bandwidth_gbs,
            system=system,
            backend=backend,
            hardware=hardware,
            provenance=provenance,
        )
        fitted = fit_profile(*read_tables(tables), options)
        write_profile(fitted.profile, output)
    except (OSError, ValueError, yaml.YAMLError) as error:
        typer.echo(f"presage engine fit: {error}", err=True)
        raise typer.Exit(2) from None
    for warning in fitted.warnings:
        typer.echo(f"presage engine fit: warning: {warning}", err=True)
    typer.echo(f"{fitted.profile.name}: {fitted.profile.fit_error}")
    for point in fitted.points:
        typer.echo(f"  {point.words}")
    typer.echo(f"written to {output}")
