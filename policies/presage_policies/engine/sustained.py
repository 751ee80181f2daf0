"""What one instance sustains: the capacity that sizing starts from before any window was measured.

A steady state of the time model with a margin for chance, solved for the highest request rate. Ours.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from presage_policies.engine.timing import EngineProfile
from presage_policies.forecasting import TokenRates
from presage_policies.objectives import Objectives

LENGTH_SPREAD = 1.0  # coefficient of variation of lengths that the margin assumes (exponential-like)
BISECTIONS = 50


@dataclass(frozen=True, slots=True)
class SteadyState:
    """One instance at a constant request rate: what the model says of it.

    Latencies are at the objectives' percentile; `iteration_seconds` and `decoding` are means.
    """

    requests_per_second: float
    iteration_seconds: float
    decoding: float
    ttft_seconds: float
    tpot_seconds: float
    kv_tokens: float
    sequences: float


def steady_state(
    profile: EngineProfile, rate: float, prompt_tokens: float, output_tokens: float, percentile: float
) -> SteadyState | None:
    """Return the steady state at `rate` requests/s of that mean shape (tokens); None when it has none.

    With W the prefill work of a request and d the marginal decode time of a sequence, the mean iteration
    solves t = c0 + λ·t·W + λ·(O-1)·t·d. The number of decoding sequences is that of an M/G/∞ system
    (Poisson), so the percentile of TPOT and KV follow from its mean and spread; TTFT adds the exponential
    tail of an M/G/1 queue of prefills.
    """
    c = profile.coefficients
    context = prompt_tokens + output_tokens / 2
    prefill_work = (
        c.per_token * prompt_tokens + c.per_sequence + c.per_prefill_attention * prompt_tokens**2 / 2
    )
    decode_step = c.per_token + c.per_sequence + c.per_kv_token * context
    steps = max(0.0, output_tokens - 1)
    idle = 1 - rate * (prefill_work + steps * decode_step)
    if idle <= 0:
        return None
    iteration = c.fixed / idle
    decoding = rate * steps * iteration
    spread = NormalDist().inv_cdf(percentile / 100)
    sequences = decoding + spread * math.sqrt(decoding) + 1
    beside = c.fixed + decode_step * sequences
    if sequences >= min(profile.max_sequences, profile.token_budget):
        return None
    chunk = profile.token_budget - sequences
    service = prefill_work + beside * prompt_tokens / chunk
    if rate * service >= 1:
        return None
    kv_spread = spread * math.sqrt(decoding * (1 + LENGTH_SPREAD**2)) * context
    return SteadyState(
        requests_per_second=rate,
        iteration_seconds=iteration,
        decoding=decoding,
        ttft_seconds=iteration
        + prefill_work
        + beside * math.ceil(prompt_tokens / chunk)
        + _queue_tail(rate, service, percentile),
        tpot_seconds=beside + rate * iteration * prefill_work,
        kv_tokens=decoding * context + kv_spread + prompt_tokens,
        sequences=sequences,
    )


def _queue_tail(rate: float, service: float, percentile: float) -> float:
    """Return the wait that `percentile` percent of arrivals stay under in an M/G/1 queue, seconds.

    Its tail is taken as load·exp(-t/m) with m the mean wait of those who wait (Pollaczek-Khinchine).
    """
    load = rate * service
    waiting_mean = service * (1 + LENGTH_SPREAD**2) / (2 * (1 - load))
    excess = 1 - percentile / 100
    return waiting_mean * math.log(load / excess) if load > excess else 0.0


def sustainable_rates(
    profile: EngineProfile, prompt_tokens: float, output_tokens: float, objectives: Objectives
) -> TokenRates:
    """Return the most tokens per second that one instance stands with requests of that mean shape.

    It is the highest rate at which both objectives hold at their percentile and the KV cache holds the
    batch at that same percentile: the margin for chance is that percentile, not a fudge factor. Both
    rates are zero when not even a lone request meets the objectives.
    """
    prompt_tokens, output_tokens = max(1.0, prompt_tokens), max(1.0, output_tokens)

    def stands(rate: float) -> bool:
        state = steady_state(profile, rate, prompt_tokens, output_tokens, objectives.percentile)
        return (
            state is not None
            and state.ttft_seconds <= objectives.ttft_seconds
            and state.tpot_seconds <= objectives.tpot_seconds
            and state.kv_tokens <= profile.kv_capacity_tokens
        )

    c = profile.coefficients
    low, high = (
        0.0,
        1 / (c.per_token * (prompt_tokens + output_tokens) + c.per_sequence + c.fixed / profile.token_budget),
    )
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if stands(middle) else (low, middle)
    return TokenRates(low * prompt_tokens, low * output_tokens)
