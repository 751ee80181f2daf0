"""The SLO-aware KEDA law, figure by figure as its guide states it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.forecasting import TokenSeries
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile
from presage_policies.scaling import (
    KEDA_SLO_BEHAVIOR,
    KEDASLO,
    ConstrainState,
    InstanceSignal,
    KEDASLOParameters,
    LatencySignal,
    Limits,
    Observation,
    constrain,
)
from presage_policies.scaling.latency_predictor import predicted_latency

PROMISED = KEDASLOParameters(signal="promised")


def look(replicas: int, share: float | None, *, ready: int | None = None, now: float = 0.0) -> Observation:
    """Return a pool whose predicted and measured P90 TTFT is that share of its objective of 3 s."""
    ttft = None if share is None else 3.0 * share
    return Observation(
        now,
        TokenSeries.empty(60, 0),
        None,
        replicas,
        replicas if ready is None else ready,
        metrics_age_seconds=1.0,
        objectives=Objectives(3.0, 0.1),
        latency=LatencySignal(60.0, ttft, 0.01, ttft, 0.01),
    )


def wanted(observation: Observation) -> int:
    """Return what a fresh law wants."""
    law = KEDASLO(PROMISED)
    return law.size(law.initial(), observation)[1].replicas


@pytest.mark.parametrize(
    ("replicas", "share", "expected"),
    [
        (3, 0.55, 3),
        (3, 0.56, 4),
        (3, 0.40, 3),
        (3, 1.10, 6),
        (3, 9.00, 11),
        (8, 0.20, 4),
        (8, 0.39, 8),
        (8, 0.35, 7),
    ],
)
def test_thresholds(replicas: int, share: float, expected: int) -> None:
    """Above 0.55: n + ⌈n·(s/0.55 - 1)⌉ with s clamped at 2; below 0.40: n - ⌊n·(1 - s/0.40)⌋; else n."""
    assert wanted(look(replicas, share)) == expected


def test_pods_that_warm_up_get_credit() -> None:
    """S is scaled by ready/provisioned, so that what is coming is not asked for twice."""
    assert wanted(look(6, 1.10, ready=6)) == 12
    assert wanted(look(6, 1.10, ready=3)) == 6
    assert wanted(look(6, 1.10, ready=0)) == 12


def test_the_worse_objective_counts() -> None:
    """S is the larger of TTFT and TPOT over their objectives."""
    slow = replace(look(3, 0.1), latency=LatencySignal(60.0, 0.3, 0.11, 0.3, 0.11))
    assert wanted(slow) == 6


def test_the_signal_is_chosen_by_name() -> None:
    """The promised and the measured variant read their own latencies only."""
    mixed = replace(look(3, 0.1), latency=LatencySignal(60.0, 0.3, 0.01, 3.3, 0.01))
    for signal, expected in (("promised", 6), ("measured", 1)):
        law = KEDASLO(KEDASLOParameters(signal=signal))  # type: ignore[arg-type]  # both are literals
        assert law.size(law.initial(), mixed)[1].replicas == expected


def test_pressure_is_a_mean_over_45_seconds() -> None:
    """Four looks 15 s apart make the mean; one 60 s old no longer does."""
    law = KEDASLO(PROMISED)
    state = law.initial()
    for step, share in enumerate((2.0, 0.2, 0.2, 0.2)):
        state, sizing = law.size(state, look(3, share, now=15.0 * step))
    assert sizing.figures["pressure"] == pytest.approx(0.65)
    _, sizing = law.size(state, look(3, 0.2, now=60.0))
    assert sizing.figures["pressure"] == pytest.approx(0.2)


def engines(requests: float | None, pods: int = 3) -> Observation:
    """Return a pool whose engines have so many requests each, of 1,000 + 200 tokens."""
    signals = tuple(InstanceSignal(f"pod{i}", ready=True, requests=requests) for i in range(pods))
    return replace(
        look(pods, None),
        instances=signals,
        engine=load_profile("rtx4090-llama-3.1-8b"),
        mean_prompt_tokens=1000.0,
        mean_output_tokens=200.0,
    )


def test_predictions_rise_before_anybody_waits() -> None:
    """Fuller batches mean slower tokens; beyond what KV holds, first tokens wait for others to end."""
    told = [predicted_latency(engines(n), 1.0) for n in (1.0, 10.0, 30.0, 45.0, 60.0)]
    ttfts, tpots = zip(*[each for each in told if each is not None], strict=True)
    assert list(tpots[:3]) == sorted(tpots[:3])
    assert tpots[0] < tpots[2]
    assert ttfts[2] < 0.5
    assert ttfts[4] > ttfts[3] + 1.0
    wide = predicted_latency(engines(10.0), 4.0)
    assert wide == (pytest.approx(4 * ttfts[1]), tpots[1])
    assert predicted_latency(engines(None)) is None


def test_the_law_reads_the_predictor() -> None:
    """Overfull engines ask for more before any latency was measured."""
    law = KEDASLO()
    _, sizing = law.size(law.initial(), engines(60.0))
    assert sizing.replicas > 3
    assert law.size(law.initial(), engines(None))[1].hold_down


def test_silence_holds() -> None:
    """Without a latency in the last minute nothing is known and nothing changes."""
    law = KEDASLO(PROMISED)
    silent = replace(look(5, None), latency=LatencySignal(60.0))
    _, sizing = law.size(law.initial(), silent)
    assert (sizing.replicas, sizing.hold_down, sizing.code) == (5, True, "LatencyUnknown")


def test_published_behavior_paces_the_law() -> None:
    """Up by 100 % or 4 a minute, whichever is more; down by one each 120 s, after 180 s of wanting it."""
    law, limits = KEDASLO(PROMISED), Limits(3, 20, KEDA_SLO_BEHAVIOR)
    _, sizing = law.size(law.initial(), look(3, 2.0))
    _, decision = constrain(ConstrainState.initial(), look(3, 2.0), sizing, limits)
    assert decision.replicas == 7
    state, replicas, history = ConstrainState.initial(), 8, []
    for second in range(0, 500, 15):
        quiet = look(replicas, 0.1, now=float(second))
        _, sizing = law.size(law.initial(), quiet)
        state, decision = constrain(state, quiet, sizing, limits)
        replicas = decision.replicas
        history.append((second, replicas))
    assert [second for (second, n), (_, m) in zip(history[1:], history, strict=False) if n < m] == [
        180,
        315,
        450,
    ]


@given(st.floats(0, 10), st.integers(1, 50), st.integers(0, 50))
def test_direction_follows_pressure(share: float, replicas: int, ready: int) -> None:
    """Low pressure never grows the pool, fair pressure leaves it, whatever is ready."""
    result = wanted(look(replicas, share, ready=ready))
    if share < 0.40:
        assert 0 <= result <= replicas
    elif share <= 0.55:
        assert result == replicas


def test_parameters_are_checked() -> None:
    """Thresholds out of order and unknown signals are refused by name."""
    with pytest.raises(ValueError, match="give 0 < down <= up"):
        KEDASLOParameters(up=0.3)
    with pytest.raises(ValueError, match="use predicted, promised or measured"):
        KEDASLOParameters(signal="guessed")  # type: ignore[arg-type]  # the point of the test
