"""Forecasts made in advance know only what had happened as their window began; perfect ones the truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_predictors.controls import HoltWinters, LastValue
from presage_simulator.data import Tables
from presage_simulator.forecast_track import (
    PerfectForecasts,
    RollingForecasts,
    arriving_rates,
    known_series,
    steps_for,
)
from presage_simulator.scenario import parse_scenario
from presage_simulator.sources import Load, load_of

from .scenarios import document, workload

WINDOW = 5.0


def load(seed: int = 0) -> Load:
    """Return two minutes of load with a minute of history, in windows of five seconds."""
    asked = document(workloads=[workload(**{"from": 60, "history": 60})], windowSeconds=WINDOW)
    asked["workloads"][0]["stages"].append({"requestsPerSecond": 3, "seconds": 60})
    scenario = parse_scenario(asked)
    return load_of(scenario, scenario.workloads[0], Tables(Path()), seed)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 24), st.integers(0, 3))
def test_the_future_changes_no_forecast(window: int, seed: int) -> None:
    """Requests after a window's beginning do not change the forecasts made until then."""
    whole = load(seed)
    kept = int(np.searchsorted(whole.workload.at, window * WINDOW))
    cut = replace(whole, workload=whole.workload.part(0, kept))
    now = window * WINDOW
    ours, theirs = (RollingForecasts(HoltWinters(60.0), each, 2).at(now) for each in (whole, cut))
    assert ours is not None
    assert theirs is not None
    assert ours.generated_at == now
    assert (ours.prompt == theirs.prompt).all()
    assert (ours.output == theirs.output).all()


def test_no_output_token_is_known_before_it_could_be_out() -> None:
    """Output counts when a response that just keeps its objectives ends, prompts on arrival; none is lost."""
    made = load()
    known, arriving = known_series(made), arriving_rates(made)
    past = len(made.history)
    assert known.prompt[past:] == pytest.approx(arriving[0])
    assert known.output[past:].cumsum()[0] < arriving[1].cumsum()[0]
    assert (known.output[past:].cumsum() <= arriving[1].cumsum() + 1e-9).all()
    assert known.end == made.seconds


def test_between_windows_the_last_forecast_holds() -> None:
    """Within a window the forecast is the one made at its beginning; after the load's end, the last one."""
    track = RollingForecasts(LastValue(), load(), 2)
    assert track.at(WINDOW * 1.5) is track.at(WINDOW)
    assert track.at(1e6) is track.at(120.0)
    assert track.window_seconds == WINDOW


def test_perfect_forecasts_are_the_truth() -> None:
    """Every step of a perfect forecast is what arrives in that window, and nothing after the end."""
    made = load()
    prompt, output = arriving_rates(made)
    track = PerfectForecasts(made, 3)
    for window in range(len(prompt)):
        forecast = track.at(window * WINDOW)
        assert forecast.prompt[0, 0] == prompt[window]
        assert forecast.output[0, 0] == output[window]
    assert track.at((len(prompt) - 1) * WINDOW).prompt[0, 1:].tolist() == [0, 0]


@pytest.mark.parametrize(("seconds", "steps"), [(0, 1), (1, 2), (600, 2), (601, 3)])
def test_a_forecast_reaches_far_enough_from_anywhere_in_its_window(seconds: float, steps: int) -> None:
    """However late in a window it is asked, a forecast still covers the horizon."""
    assert steps_for(seconds, 600) == steps
