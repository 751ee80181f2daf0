"""`presage demo`: the main job, live, on a sandbox or on a cluster one already has."""

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from presage_cli.demo.ablation import Ablation

INTERRUPTED = 130  # what a shell reports for Ctrl-C


def demo(
    *,
    context: Annotated[
        str | None, typer.Option(help="Kubeconfig context of a cluster of yours; without it, a sandbox.")
    ] = None,
    image: Annotated[
        str, typer.Option(help="This project's image, where a cluster of yours can pull it.")
    ] = "presage.dev/presage:dev",
    prometheus_image: Annotated[
        str, typer.Option(help="Prometheus's image for a cluster of yours.")
    ] = "prom/prometheus:v3.5.0",
    out: Annotated[Path, typer.Option(help="Folder for result.json and report.html.")] = Path("out/demo"),
    without: Annotated[
        Ablation | None,
        typer.Option(
            help="Beside the predictive service, run itself without this, instead of a reactive one."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards.")] = False,
) -> None:
    """Replay a production day's rise against two equal services, one scaled ahead of it.

    Exits with 0 when no accepted request was lost and the predictive service did better, else with 1
    and the reason. Ctrl-C cleans up. With --without, the same service without its forecasts (load is taken to
    stay as it is) or without its length predictions (all answers are taken to be as long as usual) is
    what it must do better than: more requests within objectives, or fewer replica-seconds.
    """
    from presage_sandbox.errors import SandboxError  # noqa: PLC0415 - heavy imports stay inside
    from presage_sandbox.progress import on_terminal  # noqa: PLC0415

    from presage_cli.demo.cluster import DemoError  # noqa: PLC0415
    from presage_cli.demo.manifests import ManifestError  # noqa: PLC0415
    from presage_cli.demo.run import Files, play  # noqa: PLC0415
    from presage_cli.demo.stage import ContextStage, SandboxStage, Stage  # noqa: PLC0415
    from presage_cli.demo.summary import summary  # noqa: PLC0415
    from presage_cli.demo.traces import TraceError  # noqa: PLC0415

    started = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    stage: Stage = ContextStage(context, image, prometheus_image) if context else SandboxStage()
    try:
        document = play(stage, Files.of_checkout(out), on_terminal(), keep=keep, without=without)
    except (DemoError, ManifestError, SandboxError, TraceError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        typer.echo("Interrupted; " + ("everything is left as it was." if keep else "cleaned up."), err=True)
        raise typer.Exit(INTERRUPTED) from interrupt
    typer.echo(summary(document))
    typer.echo(f"{out / 'report.html'} and {out / 'result.json'}, after {time.monotonic() - started:.0f} s")
    for fault in document["faults"]:
        typer.echo(f"Not as it should be: {fault}", err=True)
    raise typer.Exit(1 if document["faults"] else 0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Treat a request to end like Ctrl-C: everything is cleaned up on the way out."""
    raise KeyboardInterrupt
