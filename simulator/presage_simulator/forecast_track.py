"""Forecasts made in advance, by rolling origin: each from what was known as its window began.

The recorded demand does not depend on the system that serves it, so all systems share one track. Prompt
tokens count on arrival. Output tokens count when a response that just keeps its objectives ends: later than
most are served, so that no forecast rests on a length that is not out yet.
"""

import math

import numpy as np
from presage_policies.forecasting import Forecast, Forecaster, TokenSeries

from presage_simulator.sources import EDGE, Load
from presage_simulator.workload import Floats, Ints


class RollingForecasts:
    """One forecast a window of a load, each of `steps` windows from a series that ended as it was made."""

    def __init__(self, forecaster: Forecaster, load: Load, steps: int) -> None:
        self.window_seconds = load.history.window_seconds
        known = known_series(load)
        past, windows = len(load.history), len(known) - len(load.history)
        self._made = [
            forecaster.forecast(_first(known, past + index), steps, index * self.window_seconds)
            for index in range(windows + 1)
        ]

    def at(self, now: float) -> Forecast | None:
        """Return the forecast that was the latest at `now` (s)."""
        return self._made[min(len(self._made) - 1, int((now + EDGE) // self.window_seconds))]


class PerfectForecasts:
    """Forecasts that are true: the bound for every forecaster."""

    def __init__(self, load: Load, steps: int) -> None:
        self.window_seconds = load.history.window_seconds
        prompt, output = (np.append(rates, np.zeros(steps)) for rates in arriving_rates(load))
        self._made = [
            Forecast(
                "Perfect",
                index * self.window_seconds,
                self.window_seconds,
                (0.5,),
                prompt[None, index : index + steps],
                output[None, index : index + steps],
            )
            for index in range(len(prompt) - steps + 1)
        ]

    def at(self, now: float) -> Forecast:
        """Return what is true of the windows from the one that holds `now` (s) on."""
        return self._made[min(len(self._made) - 1, int((now + EDGE) // self.window_seconds))]


def known_series(load: Load) -> TokenSeries:
    """Return the history and the load's own windows as they become known."""
    history, requests = load.history, load.workload
    promises = [each.objectives for each in requests.classes]
    ttft = np.array([each.ttft_seconds for each in promises])[requests.klass]
    tpot = np.array([each.tpot_seconds for each in promises])[requests.klass]
    served = requests.at + ttft + tpot * requests.output_tokens
    prompt = _rates(requests.at, requests.prompt_tokens, load)
    output = _rates(served, requests.output_tokens, load)
    return TokenSeries(
        history.window_seconds,
        len(prompt) * history.window_seconds,
        np.concatenate([history.prompt, prompt]),
        np.concatenate([history.output, output]),
    )


def arriving_rates(load: Load) -> tuple[Floats, Floats]:
    """Return prompt and output tokens/s of the requests that arrive in each window."""
    requests = load.workload
    return (
        _rates(requests.at, requests.prompt_tokens, load),
        _rates(requests.at, requests.output_tokens, load),
    )


def steps_for(seconds: float, window_seconds: float) -> int:
    """Return how many windows a forecast needs that reaches so far (s) from within its first."""
    return math.ceil(seconds / window_seconds) + 1


def _rates(at: Floats, tokens: Ints, load: Load) -> Floats:
    window = load.history.window_seconds
    windows = math.ceil(load.seconds / window - EDGE)
    return np.histogram(at, np.arange(windows + 1) * window, weights=tokens)[0] / window


def _first(series: TokenSeries, windows: int) -> TokenSeries:
    end = series.end - (len(series) - windows) * series.window_seconds
    return TokenSeries(series.window_seconds, end, series.prompt[:windows], series.output[:windows])
