"""What one instance sustains: the capacity that sizing starts from before any window was measured.

A steady state of the time model with a margin for chance, solved for the highest request rate. Ours.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from presage_policies.engine.timing import EngineProfile
from presage_policies.objectives import Objectives
from presage_policies.rates import TokenRates

MARGIN = 0.9  # of the rate so found: for what the approximations leave out (tests simulate how much that is)
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
    """Return the steady state at `rate` requests/s of those mean lengths (tokens); None when it has none.

    Arrivals are taken as Poisson and lengths as exponential, which sets every spread below.
    - With W the prefill work of a request and d the marginal decode time of a sequence, the mean iteration
      solves t = c0 + rate·t·W + rate·(O - 1)·t·d; the decoding sequences number rate·(O - 1)·t.
    - They are an M/G/∞ system: their number is Poisson, and KV is a compound Poisson sum of contexts, whose
      percentile is taken with its skew (Cornish-Fisher).
    - Prefills are a queue whose sojourn is taken as exponential (as in M/M/1), with a mean that is larger by
      as much as attention, which grows with the square of the prompt, makes service more variable.
    - A response of mean length is interrupted by a Poisson number of prefills, during which more arrive.
      Shorter responses see more per token: a percentile over two-token answers is not promised.
    """
    load = _Load.of(profile, rate, prompt_tokens, output_tokens)
    if load is None:
        return None
    z = NormalDist().inv_cdf(percentile / 100)
    sequences = load.decoding + z * math.sqrt(load.decoding) + 1
    if sequences >= min(profile.max_sequences, profile.token_budget):
        return None
    beside = profile.coefficients.fixed + load.decode_step * sequences
    service = load.prefill_work + beside * prompt_tokens / (profile.token_budget - sequences)
    if rate * service >= 1:
        return None
    spread = _service_spread(profile, prompt_tokens, service)
    sojourn = -math.log(1 - percentile / 100) * service * spread / (1 - rate * service)
    prefills = rate * load.iteration * max(1.0, output_tokens)
    varied = z * math.sqrt(2 * spread * prefills) * load.prefill_work / max(1.0, output_tokens)
    return SteadyState(
        requests_per_second=rate,
        iteration_seconds=load.iteration,
        decoding=load.decoding,
        ttft_seconds=load.iteration / 2 + beside + sojourn,
        tpot_seconds=(beside + varied) / (1 - rate * load.prefill_work),
        kv_tokens=_kv_percentile(load.decoding, prompt_tokens, output_tokens, z),
        sequences=sequences,
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """The means of a steady state: seconds of prefill work, decode step and iteration; decoding sequences."""

    prefill_work: float
    decode_step: float
    iteration: float
    decoding: float

    @classmethod
    def of(cls, profile: EngineProfile, rate: float, prompt: float, output: float) -> "_Load | None":
        c = profile.coefficients
        work = c.per_token * prompt + c.per_sequence + c.per_prefill_attention * prompt**2  # E[P²]/2 = P²
        step = c.per_token + c.per_sequence + c.per_kv_token * (prompt + output)
        steps = max(0.0, output - 1)
        idle = 1 - rate * (work + steps * step)
        if idle <= 0:
            return None
        iteration = c.fixed / idle
        return cls(work, step, iteration, rate * steps * iteration)


def _service_spread(profile: EngineProfile, prompt: float, service: float) -> float:
    """Return E[S²]/(2·E[S]²) of prefills of exponential prompts; 1 when time is linear in the prompt."""
    square = profile.coefficients.per_prefill_attention * prompt**2 / 2
    linear = service - 2 * square
    return (2 * linear**2 + 12 * linear * square + 24 * square**2) / (2 * service**2)


def _kv_percentile(decoding: float, prompt: float, output: float, z: float) -> float:
    """Return the KV that a percentile (as z) of moments stays under, and a prompt that waits to fit.

    A sequence seen in flight has the mean prompt and, being seen more often when long, generated a mean
    output on average.
    """
    mean, square = prompt + output, 2 * (prompt**2 + prompt * output + output**2)
    if decoding <= 0:
        return 2 * prompt
    skew = 3 / math.sqrt(2 * decoding)
    return decoding * mean + (z + (z**2 - 1) / 6 * skew) * math.sqrt(decoding * square) + 2 * prompt


def sustainable_rates(
    profile: EngineProfile, prompt_tokens: float, output_tokens: float, objectives: Objectives
) -> TokenRates:
    """Return the most tokens per second that one instance stands with requests of that mean shape.

    It is the highest rate at which both objectives hold at their percentile and the KV cache holds the
    batch at that same percentile (see `steady_state`), less `MARGIN`. Both rates are zero when not even a
    lone request meets the objectives.
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
    return TokenRates(MARGIN * low * prompt_tokens, MARGIN * low * output_tokens)
