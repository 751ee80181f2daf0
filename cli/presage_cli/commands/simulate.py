"""`presage simulate`: what a load would have cost under each system, and who would have waited."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from presage_simulator.scenario import Scenario

WIDTH = 200  # of a table that goes to a file


def simulate(
    *,
    scenario: Annotated[Path | None, typer.Argument(help="SCENARIO.yaml; see docs/simulating.md.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Repetitions instead of the scenario's.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; one per processor if unset.")] = None,
    systems: Annotated[
        str | None, typer.Option(help="Only these, separated by commas; all of them if unset.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Where the result goes, as JSON.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where the report goes, as one HTML page.")] = None,
    front: Annotated[
        Path | None, typer.Option(help="Where the drawing of service against cost goes, as SVG.")
    ] = None,
    from_prometheus: Annotated[
        str | None, typer.Option(help="Instead of a scenario: replay what this Prometheus recorded.")
    ] = None,
    service: Annotated[str | None, typer.Option(help="The LLMService whose load is replayed.")] = None,
    namespace: Annotated[str, typer.Option(help="Its namespace.")] = "default",
    last: Annotated[str, typer.Option(help="How much is replayed: 12h, 7d.")] = "7d",
    profile: Annotated[
        str, typer.Option(help="Engine profile for a recorded load: a shipped name or a path.")
    ] = "rtx4090-llama-3.1-8b",
) -> None:
    """Compare systems on the same requests in virtual time.

    The same scenario gives the same JSON, byte for byte, whatever the number of processes. Exits with 2 and
    the field at fault when the scenario cannot be used.
    """
    from presage_simulator.runner import Experiment, tasks_of  # noqa: PLC0415 - heavy imports stay inside
    from presage_simulator.scenario import ScenarioError, load_scenario  # noqa: PLC0415
    from presage_simulator.statistics import written  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    from presage_cli.simulate.kinds import simulated_kind  # noqa: PLC0415
    from presage_cli.simulate.progress import compared  # noqa: PLC0415
    from presage_cli.simulate.table import terminal_table  # noqa: PLC0415

    def experiment() -> Experiment:
        if (scenario is None) == (from_prometheus is None):
            raise ScenarioError("give either a scenario file or --from-prometheus URL")
        if scenario is not None:
            return Experiment(_reseeded(load_scenario(scenario), seeds), scenario.parent)
        if service is None or from_prometheus is None:
            raise ScenarioError("--from-prometheus needs --service NAME")
        from presage_cli.simulate.recorded import recorded_scenario  # noqa: PLC0415

        asked = recorded_scenario(from_prometheus, namespace, service, last, profile)
        return Experiment(_reseeded(asked, seeds), Path())

    processes = jobs or os.cpu_count() or 1
    console = Console(width=None if os.isatty(1) else WIDTH)
    try:
        chosen = None if systems is None else tuple(name.strip() for name in systems.split(","))
        if simulated_kind(scenario, seeds, chosen, processes, json=json, report=report, console=console):
            return
        whole = experiment()
        comparison = compared(whole, tasks_of(whole.scenario, chosen), processes)
        if json is not None:
            json.write_text(written(comparison.document()), "utf-8")
        if report is not None:
            from presage_cli.simulate.report import report_html  # noqa: PLC0415

            report.write_text(report_html(comparison), "utf-8")
        if front is not None:
            from presage_cli.simulate.drawing import standalone  # noqa: PLC0415
            from presage_cli.simulate.figures import front_figure  # noqa: PLC0415

            front.write_text(standalone(front_figure(comparison)), "utf-8")
    except (OSError, ValueError) as error:
        typer.echo(f"presage simulate: {error}", err=True)
        raise typer.Exit(2) from None
    console.print(terminal_table(comparison))


def _reseeded(read: "Scenario", given: int | None) -> "Scenario":
    if given is None:
        return read
    return read.model_copy(update={"seeds": given, "grid_seeds": min(given, read.grid_seeds)})
