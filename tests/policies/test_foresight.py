"""Perfect foresight: sized for what is coming within the horizon, and out of reach of any spec."""

import numpy as np
import pytest
from presage_policies.engine import RequestShape, replicas_for
from presage_policies.forecasting import TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile
from presage_policies.scaling import SCALING_POLICIES, DemandTrack, Foresight, Observation

ENGINE, OBJECTIVES = load_profile("rtx4090-llama-3.1-8b"), Objectives(2.0, 0.08)


def track(*stages: tuple[float, int]) -> DemandTrack:
    """Return stages of (requests/s, seconds) in bins of a second, 1,000 + 200 tokens each."""
    requests = np.concatenate([np.full(seconds, rate) for rate, seconds in stages])
    return DemandTrack(1.0, requests, 1000 * requests, 200 * requests)


def wanted(policy: Foresight, now: float) -> int:
    """Return its replicas at a time, with a cold start of 100 s and an interval of 15 s."""
    observation = Observation(
        now,
        TokenSeries.empty(600, 0),
        None,
        3,
        3,
        cold_start_seconds=100.0,
        engine=ENGINE,
        objectives=OBJECTIVES,
    )
    return policy.size(policy.initial(), observation)[1].replicas


def test_it_acts_a_horizon_ahead() -> None:
    """Pods for a step are asked for a cold start and an interval before it, and no earlier."""
    policy = Foresight(track((1.0, 1000), (8.0, 1000)))
    before, after = (replicas_for(ENGINE, r, RequestShape(1000, 200), OBJECTIVES) for r in (1.0, 8.0))
    assert wanted(policy, 800.0) == before
    assert wanted(policy, 900.0) == after
    assert before is not None
    assert after is not None
    assert before < after


def test_it_lets_go_when_nothing_comes() -> None:
    """After the last request nothing is wanted, and beyond the track there is nothing."""
    policy = Foresight(track((4.0, 100)))
    assert wanted(policy, 50.0) > 0
    assert wanted(policy, 400.0) == 0


def test_rates_are_smoothed() -> None:
    """One second of 30 requests is one request a second over half a minute."""
    rates = track((0.0, 100), (30.0, 1), (0.0, 100)).rates(0.0, 200.0)
    assert rates.shape == (200,)
    assert rates.max() == pytest.approx(1.0)


def test_no_spec_can_name_it() -> None:
    """It is in no registry, so only who knows the future can make one."""
    assert "Foresight" not in SCALING_POLICIES
