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
    """Replay a real run's arrivals and lengths on the engine model and print how far its latencies are off."""
    import json  # noqa: PLC0415 - heavy imports stay inside the command

    from presage_policies.profiles import load_profile  # noqa: PLC0415

    from presage_cli.engine.runs import read_run, read_settings, with_settings  # noqa: PLC0415
    from presage_cli.engine.validation import STATISTICS, validate_profile  # noqa: PLC0415

    try:
        measured = read_run(run)
        settings = read_settings(meta) if meta else {}
        used = with_settings(load_profile(profile), settings, str(meta))
        errors = validate_profile(used, measured)
        if output:
            flat: dict[str, object] = {
                f"{error.name}_{statistic}_error": error.error(statistic)
                for error in errors
                for statistic in STATISTICS
            }
            flat |= {f"{error.name}_request_mape": error.request_mape for error in errors}
            flat |= {
                "real_seconds": {error.name: error.real for error in errors},
                "model_seconds": {error.name: error.modelled for error in errors},
                "requests": len(measured.requests),
                "unfinished_requests": measured.unfinished,
                "profile": used.name,
                "settings": {
                    "max_sequences": used.max_sequences,
                    "token_budget": used.token_budget,
                    "kv_capacity_tokens": used.kv_capacity_tokens,
                    "block_tokens": used.block_tokens,
                    "tensor_parallel": used.tensor_parallel,
                },
            }
            output.write_text(json.dumps(flat, indent=2) + "\n", "utf-8")
    except (OSError, ValueError) as error:
        typer.echo(f"presage engine validate: {error}", err=True)
        raise typer.Exit(2) from None
    degree = settings.get("tensor_parallel_size", used.tensor_parallel)
    if degree != used.tensor_parallel:
        typer.echo(
            f"presage engine validate: warning: the run was on tensor parallel degree {degree} and the profile is "
            f"of {used.tensor_parallel}: give that degree's profile",
            err=True,
        )
    typer.echo(
        f"{used.name}, {len(measured.requests)} requests: at most {used.max_sequences} sequences, "
        f"{used.token_budget} tokens an iteration, {used.kv_capacity_tokens} tokens of KV"
    )
    typer.echo(
        f"{'':6}{'real mean':>12}{'model mean':>12}" + "".join(f"{s:>9}" for s in STATISTICS) + f"{'MAPE':>9}"
    )
    for error in errors:
        signed = "".join(f"{error.error(statistic):>+9.1%}" for statistic in STATISTICS)
        typer.echo(
            f"{error.name.upper():6}{error.real['mean']:>11.4f}s{error.modelled['mean']:>11.4f}s{signed}"
            f"{error.request_mape:>9.1%}"
        )
