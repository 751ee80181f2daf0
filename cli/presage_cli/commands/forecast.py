"""`presage forecast`: backtests forecasters on recorded load, trains the learned one, draws what they say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from presage_predictors.mlstm.artefact import Artefact

forecast = typer.Typer(
    name="forecast", help="Backtest, train and draw forecasts of load.", no_args_is_help=True
)

MODELS = "Auto,mLSTM,LastValue,LastValueConformal,SeasonalLevel,HoltWinters"

Series = Annotated[
    list[Path],
    typer.Argument(help="Parquet files with a column `t`, or folders of them.", show_default=False),
]
Column = Annotated[str | None, typer.Option(help="Column to forecast; every load of the file if left out.")]
Window = Annotated[
    float | None, typer.Option(min=1, help="Window in seconds; 600, or 60 for recordings of an hour or so.")
]
History = Annotated[
    Path | None, typer.Option(help="The same recording's earlier part; it is not scored, all of SERIES is.")
]
Season = Annotated[float, typer.Option(min=2, help="Season in seconds.")]
Weights = Annotated[
    Path | None, typer.Option(help="Weights to use instead of those that come with the package.")
]


@forecast.command()
def backtest(
    series: Series,
    *,
    column: Column = None,
    window: Window = None,
    models: Annotated[str, typer.Option(help="Models, separated by commas; also Trees.")] = MODELS,
    history_from: History = None,
    horizons: Annotated[
        str | None,
        typer.Option(help="Windows ahead, separated by commas; 1, 3, 6, 12, 1 h and 2 h if left out."),
    ] = None,
    season: Season = 86_400.0,
    weights: Weights = None,
    learn_from: Annotated[Path | None, typer.Option(help="Folder of traces that Trees learn from.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the rows, one a series, model and horizon.")
    ] = None,
) -> None:
    """Score models on the last quarter of recordings, each window forecast from what was known before it."""
    from presage_predictors.traces import TraceError  # noqa: PLC0415 - heavy imports stay inside the command

    from presage_cli.forecast.backtesting import Models, UnknownModelError, run  # noqa: PLC0415 - as above
    from presage_cli.forecast.table import lines, means  # noqa: PLC0415 - as above
    from presage_cli.forecast.tasks import Choice, recordings_in, tasks_of  # noqa: PLC0415 - as above

    try:
        chosen = Choice(column, window, _numbers(horizons), history_from)
        asked = Models(models.split(","), _weights(weights).network(), season, learn_from)
        tasks = [task for recording in recordings_in(series) for task in tasks_of(recording, chosen)]
        scores = run(tasks, asked, lambda name: typer.echo(name, err=True))
    except (TraceError, UnknownModelError) as error:
        raise _refused(error) from error
    for line in (*lines(scores), "", *means(scores)):
        typer.echo(line)
    if json_file is not None:
        json_file.write_text(json.dumps([one.as_row() for one in scores], indent=1) + "\n")


@forecast.command()
def plot(
    series: Annotated[Path, typer.Argument(help="A parquet file with a column `t`.")],
    out: Annotated[Path, typer.Option(help="Where the drawing goes; the suffix says which format.")],
    *,
    column: Column = None,
    window: Window = None,
    model: Annotated[str, typer.Option(help="Model whose forecasts are drawn.")] = "Auto",
    ahead: Annotated[int, typer.Option(min=1, max=120, help="How many windows ahead.")] = 6,
    history_from: History = None,
    season: Season = 86_400.0,
    weights: Weights = None,
) -> None:
    """Draw the last quarter of a recording and what had been forecast of it."""
    from presage_predictors.traces import TraceError, read_recording  # noqa: PLC0415 - as above

    from presage_cli.forecast.backtesting import Models, UnknownModelError  # noqa: PLC0415 - as above
    from presage_cli.forecast.plot import draw  # noqa: PLC0415 - as above
    from presage_cli.forecast.tasks import Choice, first_task  # noqa: PLC0415 - as above

    try:
        models = Models([model], _weights(weights).network(), season, None)
        task = first_task(read_recording(series), Choice(column, window, (ahead,), history_from))
        draw(task, models.for_window(task.window_seconds)[0], ahead, out)
    except (TraceError, UnknownModelError) as error:
        raise _refused(error) from error
    typer.echo(f"{task.series}/{task.column} is drawn in {out}")


@forecast.command()
def train(
    traces: Annotated[
        Path | None, typer.Argument(help="Folder of traces to train on, from scratch.", show_default=False)
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Where the weights go; replaced in one step.")],
    members: Annotated[int, typer.Option(min=1, help="Networks in the ensemble.")] = 2,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the examples.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of examples and networks.")] = 20261121,
    share: Annotated[
        float, typer.Option(min=0.1, max=1, help="Part of each recording to learn from.")
    ] = 0.75,
    without: Annotated[list[str] | None, typer.Option(help="Trace to leave out; may be repeated.")] = None,
    prometheus: Annotated[
        str | None, typer.Option(help="Instead of traces: train on with this one's past.")
    ] = None,
    query: Annotated[
        list[str] | None, typer.Option(help="What to ask it: rates per second; may be repeated.")
    ] = None,
    days: Annotated[float, typer.Option(min=0.1, help="How much of its past.")] = 28.0,
    window: Annotated[float, typer.Option(min=1, help="Window in seconds.")] = 600.0,
    weights: Weights = None,
) -> None:
    """Train the learned forecaster (needs the extra `train`).

    Weights that are there already are replaced only by ones that do no worse on the last quarter.
    """
    try:
        from presage_predictors.mlstm.corpus import Options  # noqa: PLC0415 - as above
        from presage_predictors.mlstm.training import Schedule  # noqa: PLC0415 - as above
        from presage_predictors.tensors import ArtefactError  # noqa: PLC0415 - as above
        from presage_predictors.traces import TraceError  # noqa: PLC0415 - as above

        from presage_cli.forecast.prometheus import Span, rates  # noqa: PLC0415 - as above
        from presage_cli.forecast.training import (  # noqa: PLC0415 - as above
            Recipe,
            RefusedError,
            from_own,
            from_traces,
        )
    except ModuleNotFoundError as error:
        typer.echo(f"presage forecast: training needs {error.name}: install presage[train]", err=True)
        raise typer.Exit(1) from error
    if (traces is None) == (prometheus is None) or (prometheus is not None and not query):
        raise typer.BadParameter("give either a folder of traces, or --prometheus URL with --query")
    try:
        if traces is not None:
            recipe = Recipe(Options(share, seed, tuple(without or ())), Schedule(epochs), members)
            artefact = from_traces(traces, recipe, out, typer.echo)
        else:
            assert prometheus is not None  # one of the two is given
            span = Span(window, time.time(), days * 86_400.0)
            own = [values for asked in query or [] for values in rates(prometheus, asked, span)]
            artefact = from_own(own, window, _weights(weights), out, typer.echo)
    except (TraceError, RefusedError, ArtefactError) as error:
        raise _refused(error) from error
    typer.echo(f"{out}: version {artefact.version}")


def _weights(path: Path | None) -> Artefact:
    from presage_predictors.mlstm.artefact import load, shipped  # noqa: PLC0415 - as above
    from presage_predictors.tensors import ArtefactError  # noqa: PLC0415 - as above

    try:
        return shipped() if path is None else load(path)
    except ArtefactError as error:
        raise _refused(error) from error


def _numbers(text: str | None) -> tuple[int, ...]:
    """Return whole numbers above 0 from a list with commas; none for None."""
    if text is None:
        return ()
    numbers = tuple(sorted({int(part) for part in text.split(",") if part.strip().isdigit()}))
    if not numbers or numbers[0] < 1:
        raise typer.BadParameter(
            f"{text!r} holds no windows ahead: give whole numbers such as 1,6", param_hint="--horizons"
        )
    return numbers


def _refused(error: Exception) -> typer.Exit:
    typer.echo(f"presage forecast: {error}", err=True)
    return typer.Exit(1)
