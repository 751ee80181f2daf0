"""`presage forecast`: rows as promised, history that is not scored, errors that say what to give."""

import json
from pathlib import Path

import numpy as np
import presage_crds as crds
import pyarrow as pa
import pytest
from presage_cli.commands import forecast as command
from presage_cli.commands.operator import forecasters
from presage_cli.forecast.prometheus import Span, rates
from presage_cli.forecast.tasks import Choice, recordings_in, tasks_of
from presage_cli.main import app
from presage_predictors.mlstm.source import Source
from presage_predictors.traces import TraceError
from pyarrow import parquet
from typer.testing import CliRunner

PROMISED = {
    "model",
    "horizon",
    "mape",
    "wape",
    "rmse_over_mean",
    "pinball",
    "coverage90",
    "skill_vs_best_control",
}
WINDOWS = 240


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Write a noisy series of ten-minute windows."""
    rng = np.random.default_rng(0)
    t = np.arange(WINDOWS) * 600
    values = 50 + 30 * np.sin(2 * np.pi * t / 86_400) + rng.standard_normal(WINDOWS)
    path = tmp_path / "load.parquet"
    parquet.write_table(pa.table({"t": t, "tokens_per_s": values, "req_per_min": values / 10}), path)
    return path


def part(path: Path, keep: slice) -> Path:
    """Write some rows of a file beside it."""
    table = parquet.read_table(path)
    part_path = path.with_stem(f"part{keep.start or 0}")
    parquet.write_table(table.take(list(range(*keep.indices(table.num_rows)))), part_path)
    return part_path


def test_a_backtest_writes_its_rows(series: Path, tmp_path: Path) -> None:
    """Each model and horizon has a row with the promised keys, and the table ends with means."""
    out = tmp_path / "rows.json"
    arguments = [str(series), "--column", "tokens_per_s", "--models", "Auto,LastValue", "--horizons", "1,6"]
    done = CliRunner().invoke(app, ["forecast", "backtest", *arguments, "--json", str(out)])
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())
    assert {(row["model"], row["horizon"]) for row in rows} == {
        (model, horizon) for model in ("Auto", "LastValue") for horizon in (1, 6)
    }
    assert all(row.keys() >= PROMISED for row in rows)
    assert all(row["windows"] == WINDOWS // 4 - row["horizon"] + 1 for row in rows)
    assert "skill" in done.output


def test_history_is_known_and_not_scored(series: Path) -> None:
    """A continuation with its past is forecast as the whole is, and all its windows are scored."""
    cut = 3 * WINDOWS // 4
    past, later = part(series, slice(0, cut)), part(series, slice(cut, None))
    (whole,) = tasks_of(recordings_in([series])[0], Choice("tokens_per_s"))
    (joined,) = tasks_of(recordings_in([later])[0], Choice("tokens_per_s", history=past))
    assert joined.first == whole.first
    np.testing.assert_array_equal(joined.values, whole.values)
    (alone,) = tasks_of(recordings_in([later])[0], Choice("tokens_per_s"))
    assert len(alone.values) == WINDOWS - cut


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--column", "nothing"], "no column 'nothing'"),
        (["--window", "900"], "a multiple of 600"),
        (["--models", "Oracle"], "no model is called 'Oracle'"),
        (["--models", "Trees"], "--learn-from"),
        (["--weights", "missing.safetensors"], "missing.safetensors cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused(series: Path, arguments: list[str], message: str) -> None:
    """A column, window, model or file that is not there ends with status 1 and what to give."""
    done = CliRunner().invoke(app, ["forecast", "backtest", str(series), *arguments])
    assert done.exit_code == 1
    assert message in done.output


def test_a_forecast_is_drawn(series: Path, tmp_path: Path) -> None:
    """The drawing is a vector graphic that names series and model."""
    out = tmp_path / "drawn.svg"
    done = CliRunner().invoke(
        app, ["forecast", "plot", str(series), "--out", str(out), "--model", "LastValue"]
    )
    assert done.exit_code == 0, done.output
    assert "<svg" in out.read_text()


def test_prometheus_answers_on_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples land in the windows that end when they were taken; windows without one are absent."""
    asked: list[dict[str, object]] = []

    def answer(_: str, query: dict[str, object]) -> list[tuple[str, list[tuple[float, str]]]]:
        asked.append(query)
        return [("a", [(1200.0, "2.5"), (2400.0, "4")])]

    monkeypatch.setattr("presage_cli.forecast.prometheus._asked", answer)
    (values,) = rates("http://p", "q", Span(600.0, 2500.0, 2400.0))
    np.testing.assert_array_equal(values, [np.nan, 2.5, np.nan, 4.0])
    assert asked == [{"query": "q", "start": 600.0, "end": 2400.0, "step": 600.0}]


def test_no_prometheus_is_told() -> None:
    """An address that is none, and one where nobody listens, are refused by name."""
    for address, message in (("p:9090", "is no address"), ("http://127.0.0.1:9", "does not answer")):
        with pytest.raises(TraceError, match=message):
            rates(address, "q", Span(600.0, 6000.0, 2400.0))


@pytest.mark.parametrize("model", list(crds.ForecastModel), ids=lambda model: model.value)
def test_the_operator_forecasts_with_what_a_service_asks_for(model: crds.ForecastModel) -> None:
    """Each model that the API knows is built by name, with the service's season, for each service anew."""
    build = forecasters(Source())
    settings = crds.Forecast(model=model, season_seconds=3600)
    one, other = build(settings), build(settings)
    assert one.name == model.value
    assert one is not other
    assert getattr(one, "season_seconds", 3600.0) == 3600.0


def test_training_needs_one_source() -> None:
    """Neither traces nor a Prometheus, or one without a query, is refused before anything is done."""
    pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    for arguments in ([], ["--prometheus", "http://p"]):
        done = CliRunner().invoke(app, ["forecast", "train", "--out", "x", *arguments])
        assert done.exit_code == 2


def test_training_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch, training ends with status 1 and the extra to install."""
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    for name in ("training", "making"):
        monkeypatch.delitem(__import__("sys").modules, f"presage_predictors.mlstm.{name}", raising=False)
    done = CliRunner().invoke(command.forecast, ["train", "x", "--out", "y"])
    assert done.exit_code == 1
    assert "presage[train]" in done.output
