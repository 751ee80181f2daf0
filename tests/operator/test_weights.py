"""Weights that cannot be used are told: in the log once a change, in metrics, in the condition."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from presage_crds import ConditionType, LLMService
from presage_operator.brain import Brain, Foretold, uses_weights
from presage_operator.findings import findings
from presage_operator.metrics import Metrics
from presage_operator.observe import World
from presage_operator.profiles import profile_of
from presage_operator.weights import WeightsWatch
from presage_policies.forecasting import Forecast
from presage_predictors.mlstm.artefact import Artefact, save, shipped
from presage_predictors.mlstm.source import Source
from structlog.testing import capture_logs

NOW = 1_800_000_000.0
WEIGHTS = "presage_operator_forecast_weights"


@dataclass
class Told:
    """Weights as they stand at the moment."""

    version: str = "one"
    written: float | None = None
    trouble: str | None = None


def test_each_change_is_logged_once() -> None:
    """Trouble is a warning when it begins and when it changes, not each time that is looked."""
    weights = Told(trouble="w cannot be read")
    with capture_logs() as logs:
        watch = WeightsWatch(weights, Metrics())
        for _ in range(3):
            assert watch.look() == "w cannot be read"
        weights.trouble = "w holds no weights"
        watch.look()
        weights.trouble, weights.version = None, "two"
        assert [watch.look(), watch.look()] == [None, None]
    assert [(entry["log_level"], entry.get("problem")) for entry in logs] == [
        ("warning", "w cannot be read"),
        ("warning", "w holds no weights"),
        ("info", None),
    ]


def test_metrics_follow_a_file_that_comes_and_goes(tmp_path: Path) -> None:
    """Version, time of writing and usability are those of the file; without it the last good ones serve."""
    path, metrics = tmp_path / "w.safetensors", Metrics()
    source = Source(path)
    watch = WeightsWatch(source, metrics)
    told = metrics.registry.get_sample_value
    assert f"{path} cannot be read" in str(watch.look())
    assert told(WEIGHTS, {"version": shipped().version}) == 1.0
    assert told(f"{WEIGHTS}_usable") == 0.0
    save(Artefact(shipped().members[:1], dict(shipped().facts) | {"version": "mine"}), path)
    mine = source.refresh()
    assert watch.look() is None
    assert told(WEIGHTS, {"version": "mine"}) == 1.0
    assert told(WEIGHTS, {"version": shipped().version}) is None
    assert told(f"{WEIGHTS}_usable") == 1.0
    written = told(f"{WEIGHTS}_written_timestamp_seconds", {"version": "mine"})
    assert written == pytest.approx(path.stat().st_mtime)
    path.unlink()
    assert source.refresh() is mine
    assert "weights mine serve meanwhile" in str(watch.look())


def test_the_condition_says_who_serves_instead(
    service_object: Callable[..., dict[str, Any]], bare_world: Callable[[float], World]
) -> None:
    """A forecast made with other weights than asked for holds, with a reason and message of its own."""
    service = LLMService.from_object(service_object())
    rows = np.full((2, 2), 10.0)
    world = bare_world(NOW)
    foretold = Foretold(
        Forecast("mLSTM", NOW - 30, 600.0, (0.5, 0.9), rows, rows), 60.0, weights_trouble="w cannot be read"
    )
    verdict = Brain().think(service, profile_of(service), world, foretold)
    ready = findings(service, world, verdict, None, None)[ConditionType.FORECAST_READY]
    assert (ready.holds, ready.reason) == (True, "WeightsUnusable")
    assert ready.message.startswith("mLSTM: 10 prompt")
    assert ready.message.endswith("w cannot be read")


def test_weights_matter_where_they_forecast(service_object: Callable[..., dict[str, Any]]) -> None:
    """Only services that the learned forecaster serves hear of its weights."""
    for scaling, wanted in (
        ({}, True),
        ({"forecast": {"model": "HoltWinters"}}, False),
        ({"policy": "HPA"}, False),
    ):
        assert uses_weights(LLMService.from_object(service_object(**scaling))) is wanted
