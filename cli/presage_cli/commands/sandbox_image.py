"""`presage sandbox image`: images for the sandbox's node, which has no registry to pull from."""

from pathlib import Path
from typing import Annotated

import typer

from presage_cli.commands.sandbox import Folder, State, folder_of, plain_errors

image = typer.Typer(
    name="image",
    help="Images for the sandbox's node.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@image.command()
def build(binaries: Folder = None) -> None:
    """Build this project's image and Prometheus's; print their archives."""
    for archive in _build(binaries):
        typer.echo(archive)


@image.command()
def load(
    archives: Annotated[
        list[Path] | None,
        typer.Argument(help="OCI or Docker archives. [default: the project's image and Prometheus's, built]"),
    ] = None,
    state: State = None,
    binaries: Folder = None,
) -> None:
    """Load images into the node; pods use them with imagePullPolicy IfNotPresent."""
    from presage_sandbox.node.inside import load_image  # noqa: PLC0415 - heavy
    from presage_sandbox.progress import on_terminal  # noqa: PLC0415

    progress = on_terminal()
    with plain_errors():
        for archive in archives or _build(binaries):
            with progress.step(f"loading {archive.name} into the node"):
                load_image(folder_of(state), archive)


def _build(binaries: Path | None) -> list[Path]:
    from presage_sandbox.binaries import find_binaries  # noqa: PLC0415 - heavy
    from presage_sandbox.images import project, prometheus  # noqa: PLC0415
    from presage_sandbox.progress import on_terminal  # noqa: PLC0415

    progress = on_terminal()
    with plain_errors():
        programs = find_binaries(prometheus.PROGRAMS, binaries, progress)
        return [project.build(progress), prometheus.build(programs)]
