"""`presage demo-history`: writes the days before the demo's replay, for promtool to load."""

import time
from pathlib import Path
from typing import Annotated

import typer


def demo_history(
    plan: Annotated[Path, typer.Option(help="The plan that `presage demo` wrote.")],
    shape: Annotated[Path, typer.Option(help="Requests per minute in windows (CSV).")],
    starts_at: Annotated[float, typer.Option(help="Wall-clock second at which the replayed part begins.")],
    out: Annotated[Path, typer.Option(help="The OpenMetrics file to write.")],
) -> None:
    """Write the history that the demo's Prometheus starts with, up to now, as OpenMetrics."""
    from presage_cli.demo.history import history_lines  # noqa: PLC0415 - heavy imports stay inside the command
    from presage_cli.demo.plan import PlanError, load_plan  # noqa: PLC0415
    from presage_cli.demo.traces import TraceError, read_shape  # noqa: PLC0415

    try:
        lines = history_lines(read_shape(shape), load_plan(plan), starts_at, until=time.time())
        with out.open("w") as file:
            file.writelines(f"{line}\n" for line in lines)
    except (PlanError, TraceError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
