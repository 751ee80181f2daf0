"""How far sizing would be off by what is known of the load, against the largest window that comes."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from presage_cli.simulate.composition import Composition
from presage_policies.profiles import load_profile
from presage_simulator.data import Tables
from presage_simulator.forecast_track import known_series
from presage_simulator.runner import Service
from presage_simulator.scenario import Scenario, WorkloadSpec, load_scenario
from presage_simulator.sources import load_of
from presage_simulator.systems import ColdStart, ForecastTrack, Pool

Floats = NDArray[np.float64]

SCENARIO = Path(__file__).resolve().parents[2] / "examples/scenarios/prediction.yaml"
LOOK = 15.0  # seconds between two decisions
SHORT = 0.95  # of the truth: less is short
LEVEL_WINDOWS = 3  # as PreServe measures its level
FORECASTS = (("last-value", 0.5), ("last-value", 0.9), ("presage", 0.5), ("presage", 0.9))


def forecasts(seeds: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each load and what is known of it: mean and shortfall, at every look, over seeds."""
    scenario = load_scenario(SCENARIO)
    for spec in scenario.workloads:
        found: dict[str, list[Floats]] = defaultdict(list)
        for seed in range(seeds):
            for known, shares in _shares(scenario, _service(scenario, spec, seed)).items():
                found[known].append(shares)
        for known, each in found.items():
            share = np.concatenate(each)
            mean, short = 100 * (share.mean() - 1), 100 * (share < SHORT).mean()
            yield spec.name, known, f"{mean:+.1f} %", f"{short:.0f} %"


def _service(scenario: Scenario, spec: WorkloadSpec, seed: int) -> Service:
    pool = scenario.pool_of(spec)
    cold = ColdStart(pool.cold_start.p50_seconds, pool.cold_start.p90_seconds)
    return Service(
        spec,
        load_of(scenario, spec, Tables(SCENARIO.parent), seed),
        Pool(load_profile(scenario.profile_of(spec)), pool.min, pool.max, pool.first, cold),
        seed,
        SCENARIO.parent,
    )


def _shares(scenario: Scenario, service: Service) -> dict[str, Floats]:
    """Return what is known over the truth at every look, by its name."""
    horizon = service.pool.cold_start.p90_seconds + LOOK
    looks = np.arange(0.0, service.load.seconds - horizon, LOOK)
    series, past = known_series(service.load), len(service.load.history)
    total = series.prompt + series.output
    ended = past + (looks // series.window_seconds).astype(np.int64)
    level = np.array([total[each - LEVEL_WINDOWS : each].mean() for each in ended])
    truth = _peaks(_track(scenario, service, "perfect-forecasts"), 0.5, looks, horizon)
    return {"measured level": level / truth} | {
        f"{name}, P{100 * quantile:.0f}": _peaks(_track(scenario, service, name), quantile, looks, horizon)
        / truth
        for name, quantile in FORECASTS
    }


def _track(scenario: Scenario, service: Service, name: str) -> ForecastTrack:
    """Return the forecasts of a system of the scenario."""
    spec = next(each for each in scenario.systems if each.name == name)
    scaler = Composition()(service, spec).scaler
    assert scaler is not None
    assert scaler.forecasts is not None
    return scaler.forecasts


def _peaks(track: ForecastTrack, quantile: float, looks: Floats, horizon: float) -> Floats:
    """Return the largest window (tokens/s) that is forecast from each look to its horizon."""
    made = ((look, track.at(look)) for look in looks.tolist())
    return np.array(
        [
            np.nan if forecast is None else forecast.peak(quantile, horizon, look).total
            for look, forecast in made
        ]
    )
