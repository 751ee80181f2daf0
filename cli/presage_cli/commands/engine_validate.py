"""`presage engine validate`: holds a profile against a real engine's run."""

from pathlib import Path
from typing import Annotated

import typer


def validate(
    profile: Annotated[str, typer.Option(help="A shipped profile's name or a YAML file.")],
    run: Annotated[
        Path,
        typer.Option(
            help="The run: a JSON line a request with input_toks, output_toks, queued_ts, first_token_ts, "
            "last_token_ts (s); gzipped or not."
        ),
    ],
    meta: Annotated[
        Path | None,
        typer.Option(help="The run's engine settings (engine_kwargs); they override the profile's limits."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--json", help="Write the errors, as signed fractions of the real values.")
    ] = None,
) -> None:
    """Replay a real run's arrivals and lengths on the engine model; print how far its latencies are off."""
    import json  # noqa: PLC0415 - heavy imports stay inside the command

    from presage_policies.profiles import load_profile  # noqa: PLC0415

    from presage_cli.engine.runs import read_run, read_settings, with_settings  # noqa: PLC0415
    from presage_cli.engine.validation import validate_profile  # noqa: PLC0415
    from presage_cli.engine.validation_report import as_lines, as_mapping  # noqa: PLC0415

    try:
        measured = read_run(run)
        settings = read_settings(meta) if meta else {}
        used = with_settings(load_profile(profile), settings, str(meta))
        errors = validate_profile(used, measured)
        if output:
            output.write_text(json.dumps(as_mapping(used, measured, errors), indent=2) + "\n", "utf-8")
    except (OSError, ValueError) as error:
        typer.echo(f"presage engine validate: {error}", err=True)
        raise typer.Exit(2) from None
    degree = settings.get("tensor_parallel_size", used.tensor_parallel)
    if degree != used.tensor_parallel:
        typer.echo(
            f"presage engine validate: warning: the run had tensor parallel degree {degree} and the profile "
            f"has {used.tensor_parallel}: give that degree's profile",
            err=True,
        )
    for line in as_lines(used, measured, errors):
        typer.echo(line)
