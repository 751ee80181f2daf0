"""What is said of the forecasts that served: their live error reaches status and metrics."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from presage_crds import LLMService, LLMServiceStatus
from presage_operator.brain import Brain, Foretold
from presage_operator.foresight import Foresight
from presage_operator.metrics import Metrics
from presage_operator.observe import World
from presage_operator.profiles import profile_of
from presage_operator.report import show, status_of
from presage_policies.forecast_record import Accuracy
from presage_policies.forecasting import Forecast, TokenSeries

NOW = 1_800_000_000.0


class Flat:
    """Forecasts the same for ever."""

    name = "Flat"

    def forecast(self, series: TokenSeries, steps: int, now: float) -> Forecast:
        """Return 80 tokens/s, and 120 at the upper quantile."""
        rows = np.repeat(np.array([[80.0], [120.0]]), steps, axis=1)
        return Forecast(self.name, series.end, series.window_seconds, (0.5, 0.9), rows, rows)


def look_window_by_window(service: LLMService, windows: int) -> Accuracy | None:
    """Look once a window at a load of 100 tokens/s of each kind, and return the accuracy so far."""
    settings = service.spec.scaling.forecast
    width = float(settings.window_seconds)
    with ThreadPoolExecutor(1) as thinking:
        foresight = Foresight(lambda _: Flat(), thinking)

        async def looks() -> None:
            for number in range(1, windows + 1):
                series = TokenSeries(width, number * width, np.full(number, 100.0), np.full(number, 100.0))
                await foresight.look(settings, series, width, number * width)

        asyncio.run(looks())
    return foresight.accuracy


def test_forecasts_are_judged_as_their_windows_end(service_object: Callable[..., dict[str, Any]]) -> None:
    """A median of 80 against 100 is a live error of 20 %, within the upper quantile each time."""
    accuracy = look_window_by_window(LLMService.from_object(service_object()), 5)
    assert accuracy == Accuracy(windows=4, wape=pytest.approx(0.2), coverage90=1.0)


def test_the_live_error_is_told(
    service_object: Callable[..., dict[str, Any]], bare_world: Callable[[float], World]
) -> None:
    """Status and metrics carry error, coverage, model and age of the forecast in force."""
    service = LLMService.from_object(service_object())
    rows = np.full((2, 2), 10.0)
    forecast = Forecast("Flat", NOW - 30, 600.0, (0.5, 0.9), rows, rows)
    world = bare_world(NOW)
    foretold = Foretold(forecast, 60.0, Accuracy(windows=12, wape=0.123, coverage90=0.875))
    verdict = Brain().think(service, profile_of(service), world, foretold)
    status = status_of(service, world, verdict, {}, LLMServiceStatus(), scaled_at=None)
    assert status.forecast is not None
    assert (status.forecast.error_percent, status.forecast.coverage_percent) == (12, 88)
    metrics = Metrics()
    show(metrics, service, world, verdict)
    where = {
        "namespace": service.metadata.namespace,
        "name": service.metadata.name,
        "pool": service.spec.pools[0].name,
    }
    told = metrics.registry.get_sample_value
    assert told("presage_operator_forecast_wape", where) == pytest.approx(0.123)
    assert told("presage_operator_forecast_coverage90", where) == pytest.approx(0.875)
    assert told("presage_operator_forecast_age_seconds", where) == 30.0
    assert told("presage_operator_forecast_model", where | {"model": "Flat"}) == 1.0
