"""A small service that the simulator's tests replay."""

from collections.abc import Sequence

import numpy as np
from presage_policies.engine import EngineProfile, IterationCoefficients
from presage_policies.forecasting import TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.routing import PICKS
from presage_policies.scaling import Behavior, Limits, PreServe, Rules
from presage_predictors.controls import SeasonalLevel
from presage_predictors.history import HistoryLengthPredictor
from presage_simulator.arrivals import Arrival, poisson
from presage_simulator.autoscaler import Scaling
from presage_simulator.replay import Scenario

PROFILE = EngineProfile(
    "small", IterationCoefficients(0.01, 5e-5, 1e-5, 2e-7, 1e-9), 8192, 16, max_sequences=32, token_budget=256
)
OBJECTIVES = Objectives(1.0, 0.05)
WINDOW, DAY = 5.0, 24


def scenario(
    pick: str = "LeastBid", *, instances: int = 2, scaling: Scaling | None = None, seed: int = 0
) -> Scenario:
    """Return a service of small engines with a predictor that starts knowing nothing."""
    return Scenario(
        PROFILE,
        OBJECTIVES,
        PICKS[pick](2),
        HistoryLengthPredictor(),
        instances=instances,
        max_waiting=50,
        max_wait_seconds=10.0,
        cold_start_seconds=8.0,
        scaling=scaling,
        seed=seed,
    )


def load(rates: Sequence[float], seed: int = 0) -> tuple[Arrival, ...]:
    """Return Poisson arrivals at these requests/s in each window, prompts to 600, outputs to 150."""
    rng = np.random.default_rng(seed)
    lengths = [(int(rng.integers(20, 600)), int(rng.integers(1, 150))) for _ in range(200)]
    return poisson(rates, WINDOW, lengths, rng)


def day(level: float) -> list[float]:
    """Return a day's requests/s: low, and a peak of `level` in the middle."""
    t = np.arange(DAY)
    return list(level * np.clip(np.sin(2 * np.pi * t / DAY - np.pi / 2), 0.15, 1))


def scaling(level: float) -> Scaling:
    """Return PreServe with three days of the same shape behind it."""
    past = np.array(day(level) * 3)
    return Scaling(
        PreServe(),
        Limits(1, 6, Behavior(up=Rules(), down=Rules(stabilization_window_seconds=10.0))),
        TokenSeries(WINDOW, 0.0, past * 310, past * 75),
        SeasonalLevel(DAY * WINDOW),
        interval_seconds=1.0,
    )
