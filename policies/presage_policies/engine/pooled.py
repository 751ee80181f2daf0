"""What N instances behind one queue sustain together: how many a load needs, by the engine model.

Instances that bind late share their luck: the requests in flight of all of them fluctuate by the square
root of their number, and a prompt waits only when every instance is busy. Sizing one instance at its
percentile and multiplying (`sustained`) ignores that, and asks for more the larger the pool. Ours, from
textbook queueing: M/G/∞ for what is in flight, Erlang's C with Allen and Cunneen's correction for waits.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from presage_policies.engine.timing import EngineProfile
from presage_policies.objectives import Objectives

KV_LEVEL = 0.95  # guards let their engine's cache be anticipated as full as this (`anticipator`)
EXACT_SERVERS = 400  # Erlang's C is summed up to so many servers, and Halfin and Whitt's limit beyond
MARGIN = 0.1  # of the rate, where prompts vary as exponential ones do: for what the approximations leave out
WHAT_NO_POD_MENDS = 1.25  # objectives that a lone request misses are held within so much of what it gets


@dataclass(frozen=True, slots=True)
class RequestShape:
    """Requests by mean lengths (tokens) and their coefficients of variation (1 = exponential).

    `context_tokens` = KV that a decoding sequence holds on average, where it was measured; else it follows
    from the lengths: a long answer is seen more often and is, seen at random, half done.
    `dispersion` = variance of arrivals in a while over their mean: 1 for Poisson, 0 for evenly spaced.
    """

    prompt_tokens: float
    output_tokens: float
    prompt_variation: float = 1.0
    output_variation: float = 1.0
    context_tokens: float | None = None
    dispersion: float = 1.0

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "output_tokens"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a mean of 1 token or more")

    @property
    def held_tokens(self) -> float:
        """KV that a decoding sequence holds on average."""
        if self.context_tokens is not None:
            return self.context_tokens
        return self.prompt_tokens + self.output_tokens / 2 * (1 + self.output_variation**2)


@dataclass(frozen=True, slots=True)
class PooledState:
    """A pool at a constant rate. Latencies (s) are at the asked percentile, the rest are means.

    `decoding` = sequences decoding on one instance; `slots` = how many one instance can hold.
    """

    replicas: int
    requests_per_second: float
    iteration_seconds: float
    decoding: float
    slots: float
    ttft_seconds: float
    tpot_seconds: float

    @property
    def kv_usage(self) -> float:
        """Share of the slots that is taken on average."""
        return self.decoding / self.slots


def slots_of(profile: EngineProfile, shape: RequestShape) -> float:
    """Return how many sequences of that shape one instance holds: by KV, sequences and token budget."""
    room = KV_LEVEL * profile.kv_capacity_tokens - shape.prompt_tokens / 2  # half a newcomer is left over
    return min(room / shape.held_tokens, float(profile.max_sequences), profile.token_budget - 1.0)


def pooled_state(
    profile: EngineProfile, replicas: int, rate: float, shape: RequestShape, percentile: float
) -> PooledState | None:
    """Return the steady state of `replicas` instances at `rate` requests/s in all; None when it has none.

    - Each instance gets rate/N. With W the prefill work of a request and d the marginal decode time of a
      sequence, the mean iteration solves t = c0 + r·t·W + r·(O - 1)·t·d.
    - Requests in flight of the whole pool vary as arrivals in their stay do, and are spread evenly.
    - A request waits for a slot (all KV is taken) and for a prefill (every instance is at one): two queues
      of many servers, each with Erlang's probability of waiting and an exponential tail.

    Simulated pools hold 99 % at the rates so found when prompts are alike; when they vary as exponential
    ones do, short answers beside long prompts miss their TPOT, and it takes `MARGIN` less to hold it.
    """
    own = rate / (1 - MARGIN * min(1.0, shape.prompt_variation)) / replicas
    work, step = prefill_work(profile, shape), decode_step(profile, shape)
    steps = max(0.0, shape.output_tokens - 1)
    idle = 1 - own * (work + steps * step)
    slots = slots_of(profile, shape)
    if idle <= 0 or slots < 1:
        return None
    z = NormalDist().inv_cdf(percentile / 100)
    iteration = profile.coefficients.fixed / idle
    decoding = own * steps * iteration
    spread = z * math.sqrt(decoding / replicas * (1 + shape.dispersion) / 2)
    busy = min(decoding + spread + 1, max(slots, 1.0))
    if decoding >= slots or busy >= profile.token_budget:
        return None
    beside = profile.coefficients.fixed + step * busy
    service = work + beside * shape.prompt_tokens / (profile.token_budget - busy)
    variation = shape.prompt_variation * (1 + _attention_share(profile, shape, service))
    stay = steps * beside / (1 - own * work)
    for_slot = _wait(percentile, replicas * slots, replicas * own * stay, stay, (shape.dispersion + 1) / 2)
    for_prefill = _wait(
        percentile, replicas, replicas * own * service, service, (shape.dispersion + variation**2) / 2
    )
    if for_slot is None or for_prefill is None:
        return None
    interrupted = own * iteration * max(1.0, shape.output_tokens)
    varied = (
        z * work * math.sqrt(interrupted * (shape.dispersion + variation**2)) / max(1.0, shape.output_tokens)
    )
    return PooledState(
        replicas=replicas,
        requests_per_second=rate,
        iteration_seconds=iteration,
        decoding=decoding,
        slots=slots,
        ttft_seconds=iteration / 2 + service * (1 + z * variation) + for_slot + for_prefill,
        tpot_seconds=(beside + varied) / (1 - own * work),
    )


def replicas_for(
    profile: EngineProfile, rate: float, shape: RequestShape, objectives: Objectives, most: int = 4096
) -> int | None:
    """Return the least number of instances, up to `most`, that holds the objectives at `rate` requests/s.

    Objectives are held at their percentile; one that even a lone request misses is held near what a lone
    request gets, since no pod mends it. None when no request of that shape can be served at all. Above
    `most` the answer is `most`.
    """
    lone = pooled_state(profile, 1, 0.0, shape, objectives.percentile)
    if lone is None:
        return None
    ttft = max(objectives.ttft_seconds, WHAT_NO_POD_MENDS * lone.ttft_seconds)
    tpot = max(objectives.tpot_seconds, WHAT_NO_POD_MENDS * lone.tpot_seconds)

    def stands(replicas: int) -> bool:
        state = pooled_state(profile, replicas, rate, shape, objectives.percentile)
        return state is not None and state.ttft_seconds <= ttft and state.tpot_seconds <= tpot

    if rate <= 0:
        return 0
    low, high = 0, 1
    while high < most and not stands(high):
        low, high = high, 2 * high
    high = min(high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if stands(middle) else (middle, high)
    return high


def sustained_rate(
    profile: EngineProfile, replicas: int, shape: RequestShape, objectives: Objectives
) -> float:
    """Return the highest rate (requests/s) that `replicas` instances sustain together."""
    low, high = 0.0, 1.0
    while (replicas_for(profile, high, shape, objectives, replicas + 1) or 0) <= replicas and high < 2**20:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        needed = replicas_for(profile, middle, shape, objectives, replicas + 1)
        low, high = (middle, high) if needed is not None and needed <= replicas else (low, middle)
    return low


def prefill_work(profile: EngineProfile, shape: RequestShape) -> float:
    """Return what a prompt adds to iterations, seconds: E[P²] = P²·(1 + variation²)."""
    c = profile.coefficients
    square = shape.prompt_tokens**2 * (1 + shape.prompt_variation**2) / 2
    chunks = max(1.0, shape.prompt_tokens / profile.token_budget)
    return c.per_token * shape.prompt_tokens + c.per_sequence * chunks + c.per_prefill_attention * square


def decode_step(profile: EngineProfile, shape: RequestShape) -> float:
    """Return what a decoding sequence adds to an iteration, seconds."""
    c = profile.coefficients
    return c.per_token + c.per_sequence + c.per_kv_token * shape.held_tokens


def _attention_share(profile: EngineProfile, shape: RequestShape, service: float) -> float:
    """Return the share of a prefill that grows with the square of the prompt: it varies twice as much."""
    square = shape.prompt_tokens**2 * (1 + shape.prompt_variation**2) / 2
    return profile.coefficients.per_prefill_attention * square / service if service > 0 else 0.0


def _wait(percentile: float, servers: float, offered: float, stay: float, varied: float) -> float | None:
    """Return a percentile of the wait (s) for one of `servers`, each held for `stay`; None = overloaded.

    `varied` = mean of the squared variations of arrivals and stays, Allen and Cunneen's factor.
    """
    if offered >= servers:
        return None
    if offered <= 0:
        return 0.0
    waiting, beyond = _erlang_c(servers, offered), 1 - percentile / 100
    if waiting <= beyond:
        return 0.0
    return math.log(waiting / beyond) * stay * varied / (servers - offered)


def _erlang_c(servers: float, offered: float) -> float:
    """Return the probability of waiting with that many servers and that offered load."""
    if servers > EXACT_SERVERS:
        normal, spare = NormalDist(), (servers - offered) / math.sqrt(offered)
        density = normal.pdf(spare)
        return 1 / (1 + spare * normal.cdf(spare) / density) if density > 0 else 0.0
    blocked = 1.0
    for busy in range(1, max(1, math.floor(servers)) + 1):
        blocked = offered * blocked / (busy + offered * blocked)
    use = min(1.0, offered / max(1, math.floor(servers)))
    return min(1.0, blocked / (1 - use * (1 - blocked))) if use < 1 else 1.0
