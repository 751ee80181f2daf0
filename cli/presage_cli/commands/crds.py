"""`presage crds`: write what is generated from the API's models, or check that it is up to date."""

from pathlib import Path
from typing import Annotated

import typer


def crds(
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write only the CustomResourceDefinition, to this file; - is the standard output.",
            allow_dash=True,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when a generated file is out of date.")
    ] = False,
    root: Annotated[Path, typer.Option(help="Root of the source tree.")] = Path(),
) -> None:
    """Write the CustomResourceDefinition, the chart's copy of it, and the API's reference page."""
    from presage_crds.artifacts import artifacts, manifest  # noqa: PLC0415  only this command needs it

    if out is not None and check:
        raise typer.BadParameter("--out and --check exclude each other")
    if out is not None:
        _write_one(out, manifest())
        return
    if not (root / "crds" / "presage_crds").is_dir():
        raise typer.BadParameter(
            f"{root.resolve()} is not the source tree; run there, give --root, or use --out FILE"
        )
    files = {root / path: text for path, text in artifacts().items()}
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if check:
        _report(stale)
        return
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
        typer.echo(f"wrote {path}")
    if not stale:
        typer.echo("everything is up to date")


def _write_one(out: Path, text: str) -> None:
    if str(out) == "-":
        typer.echo(text, nl=False)
    else:
        out.write_text(text)


def _report(stale: list[Path]) -> None:
    for path in stale:
        typer.echo(f"{path} is out of date; run `presage crds` and commit it", err=True)
    if stale:
        raise typer.Exit(1)
