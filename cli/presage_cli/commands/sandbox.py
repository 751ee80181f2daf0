"""`presage sandbox`: a real Kubernetes on this machine, up and down with one command.

What other programs read (export lines, tables) goes to standard output, progress to the error
stream, so that `eval "$(presage sandbox up)"` works.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

sandbox = typer.Typer(
    name="sandbox",
    help="A real Kubernetes on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

State = Annotated[
    Path | None,
    typer.Option(
        help="State folder; another one is another sandbox. [default: $XDG_STATE_HOME/presage/sandbox]"
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--binaries", help="Folder with programs to use instead of building them. [$PRESAGE_BINARIES]"
    ),
]


@sandbox.command()
def up(
    *,
    state: State = None,
    node: Annotated[bool, typer.Option("--node", help="Add a real node (Linux, root).")] = False,
    gpus: Annotated[int, typer.Option(min=0, max=1024, help="GPUs that the node offers.")] = 8,
    scrape_interval: Annotated[int, typer.Option(min=1, max=3600, help="Of Prometheus, in seconds.")] = 5,
    prometheus_history: Annotated[
        Path | None, typer.Option(help="OpenMetrics file with timestamps, loaded before Prometheus starts.")
    ] = None,
    binaries: Folder = None,
) -> None:
    """Start a sandbox and print how to use it; programs are built on the first run."""
    from presage_sandbox import lifecycle  # noqa: PLC0415 - heavy
    from presage_sandbox.layout import Options  # noqa: PLC0415
    from presage_sandbox.progress import on_terminal  # noqa: PLC0415

    options = Options(
        node=node,
        gpus=gpus,
        scrape_interval_seconds=scrape_interval,
        prometheus_history=str(prometheus_history.absolute()) if prometheus_history else None,
    )
    with plain_errors():
        layout = lifecycle.up(folder_of(state), options, binaries, on_terminal())
    typer.echo(f"export KUBECONFIG={layout.kubeconfig}")
    typer.echo(f"export PATH={layout.bin}:$PATH")
    typer.echo(f"# API server {layout.published_apiserver_url}")
    typer.echo(f"# Prometheus {layout.prometheus_url} (targets from {layout.targets}/*.json)")


@sandbox.command()
def down(state: State = None) -> None:
    """Stop a sandbox and remove all but its logs; also clears up after a crash."""
    from presage_sandbox import lifecycle  # noqa: PLC0415 - heavy
    from presage_sandbox.progress import on_terminal  # noqa: PLC0415

    with plain_errors():
        lifecycle.down(folder_of(state), on_terminal())


@sandbox.command()
def status(state: State = None) -> None:
    """List the programs; the exit code is 0 only when all are healthy."""
    from presage_sandbox import lifecycle  # noqa: PLC0415 - heavy

    with plain_errors():
        found = lifecycle.status(folder_of(state))
    typer.echo(f"{'PROGRAM':<26}{'STATE':<12}{'HEALTHY':<9}{'PID':<9}ADDRESS")
    for each in found.programs:
        healthy, pid, address = "yes" if each["healthy"] else "no", each["pid"] or "-", each["address"] or "-"
        typer.echo(f"{each['name']:<26}{each['state']:<12}{healthy:<9}{pid:<9}{address}")
    typer.echo(f"logs: {folder_of(state) / 'logs'}", err=True)
    if not found.ready:
        typer.echo("starting or stopping", err=True)
    raise typer.Exit(0 if found.healthy else 1)


@sandbox.command()
def start(program: str, state: State = None) -> None:
    """Start one stopped program again and wait until it is healthy."""
    _change("start", program, state)


@sandbox.command()
def stop(program: str, state: State = None) -> None:
    """Stop one program; the others keep running."""
    _change("stop", program, state)


@sandbox.command()
def restart(program: str, state: State = None) -> None:
    """Stop one program, start it again and wait until it is healthy."""
    _change("restart", program, state)


@sandbox.command()
def build(binaries: Folder = None) -> None:
    """Build every program that is found nowhere, those of the node included; print where each is."""
    from presage_sandbox.binaries import find_binaries  # noqa: PLC0415 - heavy
    from presage_sandbox.catalogue import CATALOGUE  # noqa: PLC0415
    from presage_sandbox.images import pause  # noqa: PLC0415
    from presage_sandbox.progress import on_terminal  # noqa: PLC0415

    with plain_errors():
        found = find_binaries(CATALOGUE, binaries, on_terminal())
        found[pause.PROGRAM] = pause.program(on_terminal())
    for name, path in found.items():
        typer.echo(f"{name:<26}{path}")


def _change(command: str, program: str, state: Path | None) -> None:
    from presage_sandbox import lifecycle  # noqa: PLC0415 - heavy

    with plain_errors():
        lifecycle.change(folder_of(state), command, program)


def folder_of(state: Path | None) -> Path:
    """State folder that an option names, or the default one."""
    from presage_sandbox.layout import default_state  # noqa: PLC0415 - heavy

    return state or default_state()


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Print what a user can put right as one plain error, and exit with 1."""
    from presage_sandbox.errors import SandboxError  # noqa: PLC0415 - heavy

    try:
        yield
    except SandboxError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
