"""`presage engine`: runs an emulated engine; `fit` and `validate` make and judge what times it."""

from typing import Annotated

import typer

from presage_cli.commands.engine_fit import fit
from presage_cli.commands.engine_validate import validate

engine = typer.Typer(name="engine", invoke_without_command=True)
engine.command()(fit)
engine.command()(validate)


@engine.callback()
def serve_engine(  # noqa: PLR0917 - typer reads options from parameters
    context: typer.Context,
    profile: Annotated[
        str, typer.Option(help="How fast: a shipped profile's name or a YAML file.")
    ] = "rtx4090-llama-3.1-8b",
    model: Annotated[
        str, typer.Option(help="The model name that clients send.")
    ] = "meta-llama/Llama-3.1-8B-Instruct",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8200,
    cold_start_seconds: Annotated[
        float, typer.Option(help="How long /health answers 503 at first, in engine seconds.")
    ] = 0.0,
    time_scale: Annotated[float, typer.Option(help="Engine seconds per real second.")] = 1.0,
    stream_interval: Annotated[
        int, typer.Option(help="Tokens per streamed chunk after the first token.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Seed of drawn output lengths.")] = 0,
    max_model_len: Annotated[
        int | None,
        typer.Option(help="Longest prompt plus answer in tokens; all that the KV cache holds if unset."),
    ] = None,
    grace_seconds: Annotated[
        float, typer.Option(help="How long running answers may take to finish after SIGTERM.")
    ] = 30.0,
) -> None:
    """Run an emulated vLLM: the OpenAI API and vLLM's metrics, as slow as its profile says."""
    if context.invoked_subcommand is not None:
        return

    import asyncio  # noqa: PLC0415 - heavy imports stay inside the command
    import logging  # noqa: PLC0415

    from presage_policies.profiles import load_profile  # noqa: PLC0415
    from presage_sandbox.engine.serve import serve  # noqa: PLC0415
    from presage_sandbox.engine.settings import EngineSettings  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = EngineSettings(
            profile=load_profile(profile),
            model=model,
            host=host,
            port=port,
            cold_start_seconds=cold_start_seconds,
            time_scale=time_scale,
            stream_interval=stream_interval,
            seed=seed,
            max_model_len=max_model_len,
            grace_seconds=grace_seconds,
        )
        asyncio.run(serve(settings))
    except (OSError, ValueError) as error:
        typer.echo(f"presage engine: {error}", err=True)
        raise typer.Exit(2) from None
