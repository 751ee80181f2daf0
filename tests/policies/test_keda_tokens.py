"""KEDA on the token rate: the ratio, the poll, the HPA's tolerance, and the cooldown before zero."""

from dataclasses import replace

import numpy as np
import pytest
from presage_policies.forecasting import TokenSeries
from presage_policies.scaling import (
    ArrivalSignal,
    InstanceSignal,
    KEDATokens,
    KEDATokensParameters,
    Observation,
)


def look(replicas: int, rate: float | None, now: float = 0.0) -> Observation:
    """Return a pool that serves `rate` tokens/s in all, and where twice as much arrives."""
    pods = tuple(
        InstanceSignal(
            f"pod{i}",
            ready=True,
            prompt_rate=None if rate is None else 0.8 * rate / replicas,
            output_rate=None if rate is None else 0.2 * rate / replicas,
        )
        for i in range(replicas)
    )
    each = np.full(60, 0.0 if rate is None else rate)
    arrivals = ArrivalSignal(1.0, np.ones(60), 1.6 * each, 0.4 * each)
    return Observation(now, TokenSeries.empty(60, 0), None, replicas, replicas, pods, arrivals=arrivals)


def wanted(parameters: KEDATokensParameters, observation: Observation) -> int:
    """Return what a fresh scaler wants."""
    law = KEDATokens(parameters)
    return law.size(law.initial(), observation)[1].replicas


@pytest.mark.parametrize(
    ("rate", "expected"), [(1000, 1), (2001, 3), (2150, 2), (1850, 2), (5000, 5), (5001, 6)]
)
def test_ceiling_and_tolerance(rate: float, expected: int) -> None:
    """⌈rate/threshold⌉, unless the rate lies within 10 % of what two replicas are sized for."""
    replicas = 2 if rate in {2150, 1850} else 1
    assert wanted(KEDATokensParameters(threshold=1000), look(replicas, rate)) == expected


def test_served_and_arrived_are_told_apart() -> None:
    """Served tokens cannot exceed what the pool serves; arrivals can."""
    assert wanted(KEDATokensParameters(threshold=1000, signal="served"), look(1, 4000)) == 4
    assert wanted(KEDATokensParameters(threshold=1000, signal="arrived"), look(1, 4000)) == 8


def test_it_is_polled_every_thirty_seconds() -> None:
    """Between polls the last reading stands."""
    law = KEDATokens(KEDATokensParameters(threshold=1000))
    state, first = law.size(law.initial(), look(1, 1000))
    state, between = law.size(state, look(1, 5000, now=29.0))
    _, after = law.size(state, look(1, 5000, now=30.0))
    assert (first.replicas, between.replicas, after.replicas) == (1, 1, 5)


def test_the_last_pod_waits_for_the_cooldown() -> None:
    """Zero is reached only when no poll was active for 300 s."""
    law = KEDATokens(KEDATokensParameters(threshold=1000))
    state, _ = law.size(law.initial(), look(1, 500))
    state, cooling = law.size(state, look(1, 0.0, now=299.0))
    _, over = law.size(state, look(1, 0.0, now=330.0))
    assert (cooling.replicas, over.replicas) == (1, 0)


def test_a_missing_rate_holds() -> None:
    """No counter is not a rate of zero."""
    law = KEDATokens()
    _, sizing = law.size(law.initial(), look(3, None))
    assert (sizing.replicas, sizing.hold_down) == (3, True)
    blind = replace(look(3, 100.0), arrivals=None)
    law = KEDATokens(KEDATokensParameters(signal="arrived"))
    assert law.size(law.initial(), blind)[1].hold_down


def test_parameters_are_checked() -> None:
    """A threshold of nothing and an unknown signal are refused by name."""
    with pytest.raises(ValueError, match="threshold is 0"):
        KEDATokensParameters(threshold=0)
    with pytest.raises(ValueError, match="use arrived or served"):
        KEDATokensParameters(signal="both")  # type: ignore[arg-type]  # the point of the test
