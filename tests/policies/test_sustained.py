"""What an instance sustains is honest: at that rate a simulated engine keeps its objectives."""

import numpy as np
import pytest

from presage_policies.engine import (
    Batch,
    EngineProfile,
    EngineRequest,
    steady_state,
    sustainable_rates,
)
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile


def attainment(
    profile: EngineProfile, rate: float, prompt: float, output: float, seed: int
) -> tuple[float, float]:
    """Return P99 TTFT and TPOT of 900 Poisson arrivals with exponential lengths, the first 100 left out."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, 900))
    prompts = np.clip(rng.exponential(prompt, 900), 1, 8000).astype(int)
    outputs = np.clip(rng.exponential(output, 900), 1, 4000).astype(int)
    batch, now, added = Batch(profile), 0.0, 0
    first: dict[str, float] = {}
    ttft, tpot = [], []
    while len(ttft) < 800:
        while added < 900 and arrivals[added] <= now:
            batch.add(EngineRequest(str(added), arrivals[added], int(prompts[added]), int(outputs[added])))
            added += 1
        iteration = batch.begin(now)
        if iteration is None:
            if added == 900:
                break
            now = arrivals[added]
            continue
        now += iteration.seconds
        result = batch.complete(iteration)
        first |= dict.fromkeys(result.first_tokens, now)
        for request_id in result.finished:
            number = int(request_id)
            if number >= 100:
                ttft.append(first[request_id] - arrivals[number])
                tpot.append((now - first[request_id]) / max(1, outputs[number] - 1))
    return float(np.percentile(ttft, 99)), float(np.percentile(tpot, 99))


@pytest.mark.parametrize(("prompt", "output"), [(1155, 211), (300, 400), (2000, 30)])
def test_objectives_hold_at_the_sustained_rate(prompt: int, output: int) -> None:
    """At the rate that is called sustainable, Poisson arrivals of exponential lengths meet the P99."""
    profile, objectives = load_profile("rtx4090-llama-3.1-8b"), Objectives(2.0, 0.08)
    rates = sustainable_rates(profile, prompt, output, objectives)
    assert rates.prompt / prompt == pytest.approx(rates.output / output)
    ttft, tpot = attainment(profile, rates.prompt / prompt, prompt, output, seed=1)
    assert ttft <= objectives.ttft_seconds
    assert tpot <= objectives.tpot_seconds


@pytest.mark.parametrize(("prompt", "output"), [(1155, 211), (300, 400), (2000, 30)])
def test_the_margin_is_not_excessive(prompt: int, output: int) -> None:
    """At twice the sustained rate an objective is missed: the margin for chance is not half the GPU."""
    profile, objectives = load_profile("rtx4090-llama-3.1-8b"), Objectives(2.0, 0.08)
    rates = sustainable_rates(profile, prompt, output, objectives)
    ttft, tpot = attainment(profile, 2 * rates.prompt / prompt, prompt, output, seed=1)
    assert ttft > objectives.ttft_seconds or tpot > objectives.tpot_seconds


def test_tighter_objectives_sustain_less(rtx4090: EngineProfile) -> None:
    """Less time allows fewer tokens, and objectives that a lone request misses allow none."""
    loose = sustainable_rates(rtx4090, 1000, 200, Objectives(3.0, 0.1))
    tight = sustainable_rates(rtx4090, 1000, 200, Objectives(1.0, 0.04))
    assert 0 < tight.total < loose.total
    assert sustainable_rates(rtx4090, 1000, 200, Objectives(0.01, 0.04)).total == 0


def test_kv_bounds_what_latency_would_allow(rtx4090: EngineProfile) -> None:
    """With generous latencies and long contexts, KV is what limits: its P99 just fits."""
    rates = sustainable_rates(rtx4090, 3000, 1500, Objectives(60.0, 1.0))
    state = steady_state(rtx4090, rates.prompt / 3000, 3000, 1500, 99)
    assert state is not None
    assert state.kv_tokens == pytest.approx(rtx4090.kv_capacity_tokens, rel=0.01)


def test_no_steady_state_beyond_saturation(rtx4090: EngineProfile) -> None:
    """A rate that the GPU cannot compute has no steady state."""
    assert steady_state(rtx4090, 1000.0, 1000, 200, 99) is None
