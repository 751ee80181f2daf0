"""Sizing by the engine model and the objectives: the least pool that keeps them, now and until help comes.

Ours. Demand is the arrival rate, seen within seconds (`arrival_rate`); what one pod more would bring is asked
of the engine model for the whole pool (`engine.pooled`) instead of one learnt μ; what may come before the
next pod could is learnt from past surprises, or left to a forecast that has proved better (`surprise`),
and the pool is held so large that it stands that surge until pods come (`engine.transient`).
"""

import math
from dataclasses import dataclass, field, replace

from presage_policies.engine import (
    EngineProfile,
    RequestShape,
    pooled_state,
    replicas_for,
    slots_of,
    surge,
    sustainable_rates,
)
from presage_policies.objectives import Objectives
from presage_policies.scaling.arrival_rate import ArrivalRate, arrival_rate, dispersion_of, variation_of
from presage_policies.scaling.behavior import Behavior, Rules
from presage_policies.scaling.policy import Observation, Sizing
from presage_policies.scaling.surprise import Look, Surprises

SLO_MODEL_BEHAVIOR = Behavior(up=Rules(), down=Rules())
"""The policy holds by itself, so `behavior` need not."""

MOST_REPLICAS = 100_000
DISPERSION_SECONDS = 600.0  # over which the dispersion of arrivals is averaged
ENOUGH_REQUESTS = 20.0  # to tell mean lengths, and what a sequence holds
LASTING_SECONDS = 30.0  # a shorter rise is a burst, which queues and what is free in the batches take up
SETTLING_SECONDS = 15.0  # after demand has fallen, before what was wanted earlier is let go: one interval
PREFILLS = 2.0  # lone first tokens that the TTFT objective keeps for a prefill amid others, in a surge
TYPICAL_PERCENTILE = 50.0
LEAST_WAIT_SHARE = 0.25  # of the TTFT objective that a surge may make a request wait in any case


@dataclass(frozen=True, slots=True)
class SLOModelParameters:
    """`level` = forecast quantile; `hold_seconds` None = a cold start and an interval.

    The switches take parts away, to see what each is worth: `pooled` False sizes one instance at its
    percentile and multiplies; `reserve` False keeps nothing for surprises; `by_second` False reads the
    rate off the series of windows; `forecasts` False never looks at any.
    """

    level: float = 0.9
    hold_seconds: float | None = None
    pooled: bool = True
    reserve: bool = True
    by_second: bool = True
    forecasts: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"forecast quantile is {self.level}: give a number between 0 and 1")
        if self.hold_seconds is not None and self.hold_seconds < 0:
            raise ValueError(f"hold_seconds is {self.hold_seconds}: give zero or more")


@dataclass(frozen=True, slots=True)
class SLOModelState:
    """What it remembers; lost, it provides for no surprises until it has seen some again.

    `wanted` = the replicas that were needed over the hold; `dispersion` of arrivals, averaged over the
    `dispersion_seconds` that are known (it begins as Poisson's, known for two minutes).
    """

    surprises: Surprises = field(default_factory=Surprises)
    wanted: tuple[tuple[float, int], ...] = ()
    dispersion: float = 1.0
    dispersion_seconds: float = 120.0
    seen_at: float | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """Replicas that one consideration asks for, and the words for it."""

    replicas: int
    words: str
    code: str


class SLOModel:
    """The policy that sizes by model and objectives."""

    name = "SLOModel"

    def __init__(self, parameters: SLOModelParameters | None = None) -> None:
        self.parameters = parameters or SLOModelParameters()

    def initial(self) -> SLOModelState:
        """Return the state before the first observation."""
        return SLOModelState()

    def size(self, state: SLOModelState, observation: Observation) -> tuple[SLOModelState, Sizing]:
        """Return the next state and the least pool that keeps the objectives until more could come."""
        engine, objectives = observation.engine, observation.objectives
        if engine is None or objectives is None:
            return state, _unknown(observation, "CapacityUnknown", "no engine profile or objectives")
        state = self._with_dispersion(state, observation)
        shape = _shape(observation, engine, state.dispersion)
        measured = self._measured(observation, shape, state.dispersion)
        if shape is None or measured is None:
            return state, _unknown(observation, "DemandUnknown", "neither arrivals nor a measured token rate")
        pool = _Sizer(engine, objectives, shape, pooled=self.parameters.pooled)
        if pool.for_rate(0.0) is None:
            words = f"{engine.name} cannot hold {shape.prompt_tokens:.0f} + {shape.output_tokens:.0f} tokens"
            return state, _unknown(observation, "CapacityUnknown", words)
        foretold = self._foretold(observation, shape)
        state = self._remembered(state, observation, measured, foretold, objectives)
        return self._decided(state, observation, pool, measured, foretold)

    def _decided(
        self,
        state: SLOModelState,
        observation: Observation,
        pool: "_Sizer",
        measured: ArrivalRate,
        foretold: float | None,
    ) -> tuple[SLOModelState, Sizing]:
        rate = measured.rate
        trusted = foretold is not None and state.surprises.trusts_forecasts
        reserve = state.surprises.reserve(rate, aided=trusted) if self.parameters.reserve else 0.0
        needs = [pool.level(rate)]
        if trusted and foretold is not None:
            needs.append(pool.ahead(foretold, observation))
        base = max(need.replicas for need in needs)
        from_rate = max(rate, foretold) if trusted and foretold is not None else rate
        if reserve > 0:
            needs.append(pool.surge(base, from_rate, reserve, observation.horizon_seconds))
        if observation.inflight_requests is not None:
            needs.append(pool.inflight(observation.inflight_requests))
        need = max(needs, key=lambda n: n.replicas)
        since = self._held_since(state, observation, measured)
        kept = tuple((at, n) for at, n in state.wanted if at > since)
        state = replace(state, wanted=(*kept, (observation.now, need.replicas)))
        replicas = max(n for _, n in state.wanted)
        reason, code = "; ".join(n.words for n in needs), need.code
        if replicas > need.replicas:
            reason, code = (
                f"{reason}; {replicas} were needed less than {observation.now - since:.0f} s ago",
                "Held",
            )
        figures = {
            "requestsPerSecond": rate,
            "reserveRequestsPerSecond": reserve,
            "dispersion": state.dispersion,
            "instancesNeeded": float(need.replicas),
        }
        if foretold is not None:
            figures["foretoldRequestsPerSecond"] = foretold
        return state, Sizing(replicas, reason, code, figures)

    def _held_since(self, state: SLOModelState, observation: Observation, measured: ArrivalRate) -> float:
        """Return since when what was needed still counts: for a cold start, against chance.

        A pod let go costs a cold start when it is needed again, so a need is held as long as that. A fall
        that chance does not explain ends what was needed before it, unless a rise as large was seen:
        then demand that comes and goes is likely to come back.
        """
        hold = self.parameters.hold_seconds
        since = observation.now - (observation.horizon_seconds if hold is None else hold)
        likely_back = measured.fell_by <= state.surprises.unaided.largest
        if measured.fell_by > 0 and not likely_back and measured.seconds >= SETTLING_SECONDS:
            return max(since, observation.now - measured.seconds + SETTLING_SECONDS)
        return since

    def _with_dispersion(self, state: SLOModelState, observation: Observation) -> SLOModelState:
        """Average how unevenly requests come."""
        now = observation.now
        found = None if observation.arrivals is None else dispersion_of(observation.arrivals)
        since = 0.0 if state.seen_at is None else max(0.0, now - state.seen_at)
        if found is None:
            return replace(state, seen_at=now)
        known = min(DISPERSION_SECONDS, state.dispersion_seconds + since)
        dispersion = state.dispersion + since / known * (found - state.dispersion)
        return replace(state, seen_at=now, dispersion=dispersion, dispersion_seconds=known)

    def _measured(
        self, observation: Observation, shape: RequestShape | None, dispersion: float
    ) -> ArrivalRate | None:
        """Return the request rate now: by the second where there are arrivals, else of the last window."""
        arrivals = observation.arrivals
        if self.parameters.by_second and arrivals is not None and len(arrivals.requests) > 0:
            return arrival_rate(arrivals, dispersion)
        latest = observation.series.latest(1)
        if latest is None or shape is None:
            return None
        rate = max(latest.prompt / shape.prompt_tokens, latest.output / shape.output_tokens)
        return ArrivalRate(rate, observation.series.window_seconds, 1)

    def _foretold(self, observation: Observation, shape: RequestShape) -> float | None:
        """Return the forecast's quantile over the horizon as requests/s of the present shape."""
        if observation.forecast is None or not self.parameters.forecasts:
            return None
        peak = observation.forecast.peak(self.parameters.level, observation.horizon_seconds, observation.now)
        rate = max(peak.prompt / shape.prompt_tokens, peak.output / shape.output_tokens)
        return rate if math.isfinite(rate) else None

    def _remembered(
        self,
        state: SLOModelState,
        observation: Observation,
        measured: ArrivalRate,
        foretold: float | None,
        objectives: Objectives,
    ) -> SLOModelState:
        """Compare now with what was foreseen for it, and keep what is foreseen now."""
        now, lead = observation.now, observation.horizon_seconds
        surprises = state.surprises.judged(now, measured.rate, lead, self.parameters.level)
        look = Look(now, measured.rate, measured.variance(state.dispersion), measured.rate, foretold)
        if measured.seconds >= LASTING_SECONDS:
            surprises = surprises.seen(look, lead, objectives.percentile)
        unaided = measured.rate + surprises.reserve(measured.rate, aided=False)
        return replace(state, surprises=surprises.looked(replace(look, unaided=unaided)))


class _Sizer:
    """Answers "how many instances" for one engine, shape and objectives."""

    def __init__(
        self, engine: EngineProfile, objectives: Objectives, shape: RequestShape, *, pooled: bool
    ) -> None:
        self._engine, self._objectives, self._shape = engine, objectives, shape
        self._pooled = pooled

    def for_rate(self, rate: float) -> int | None:
        """Return the instances for a constant rate (requests/s); None = none can serve it."""
        if self._pooled:
            return replicas_for(self._engine, rate, self._shape, self._objectives, MOST_REPLICAS)
        prompt, output = self._shape.prompt_tokens, self._shape.output_tokens
        one = sustainable_rates(self._engine, prompt, output, self._objectives).output / output
        return math.ceil(rate / one) if one > 0 else None

    def level(self, rate: float) -> Need:
        """Return what the present rate needs."""
        replicas = self.for_rate(rate) or 0
        return Need(replicas, f"{rate:.2f} requests/s need {replicas}", "MeasuredDemand")

    def ahead(self, rate: float, observation: Observation) -> Need:
        """Return what the forecast needs."""
        replicas = self.for_rate(rate) or 0
        assert observation.forecast is not None
        words = f"{rate:.2f} foretold by {observation.forecast.model} need {replicas}"
        return Need(replicas, words, "ForecastDemand")

    def surge(self, replicas: int, rate: float, rise: float, seconds: float) -> Need:
        """Return what stands a rise until pods come: no fewer than `replicas`, no more than for ever."""
        short, enough = replicas - 1, max(replicas, self.for_rate(rate + rise) or 0)
        while enough - short > 1:
            middle = (short + enough) // 2
            stands = self._stands(middle, rate, rise, seconds)
            short, enough = (short, middle) if stands else (middle, enough)
        replicas = enough
        words = f"{rise:.2f} more for {seconds:.0f} s, a rise as was seen, need {replicas}"
        return Need(replicas, words, "ReserveForRise")

    def _stands(self, replicas: int, rate: float, rise: float, seconds: float) -> bool:
        if replicas < 1:
            return False
        percentile = self._objectives.percentile
        worst = surge(self._engine, replicas, rate, rate + rise, seconds, self._shape, percentile)
        return (
            worst is not None
            and worst.wait_seconds <= self._bearable_wait()
            and worst.tpot_seconds <= self._objectives.tpot_seconds
        )

    def _bearable_wait(self) -> float:
        """Return how long a request may wait in a surge, and still have its first token in time."""
        lone = pooled_state(self._engine, 1, 0.0, self._shape, TYPICAL_PERCENTILE)
        prefill = 0.0 if lone is None else PREFILLS * lone.ttft_seconds
        objective = self._objectives.ttft_seconds
        return max(LEAST_WAIT_SHARE * objective, objective - prefill)

    def inflight(self, requests: float) -> Need:
        """Return what holds the requests that are in engines and waiting."""
        slots = slots_of(self._engine, self._shape)
        replicas = math.ceil(requests / slots)
        return Need(replicas, f"{requests:.0f} in flight fill {requests / slots:.2f}", "InFlight")


def _shape(observation: Observation, engine: EngineProfile, dispersion: float) -> RequestShape | None:
    """Return the requests of the last minutes by their means and spread; None while nothing is known."""
    prompt, output = observation.mean_prompt_tokens, observation.mean_output_tokens
    arrivals, varies = observation.arrivals, 1.0
    if arrivals is not None and arrivals.requests.sum() >= ENOUGH_REQUESTS:
        count = float(arrivals.requests.sum())
        prompt, output = (
            float(arrivals.prompt_tokens.sum()) / count,
            float(arrivals.output_tokens.sum()) / count,
        )
        found = variation_of(arrivals.prompt_tokens, arrivals.requests)
        varies = varies if found is None else found
    if prompt is None or output is None:
        return None
    shape = RequestShape(max(1.0, prompt), max(1.0, output), varies, dispersion=max(0.0, dispersion))
    held = [(i.kv_usage, i.requests) for i in observation.serving if i.kv_usage and i.requests]
    sequences = sum(requests for _, requests in held)
    if sequences < ENOUGH_REQUESTS:
        return shape
    context = sum(usage for usage, _ in held) * engine.kv_capacity_tokens / sequences
    return replace(shape, context_tokens=min(max(context, 1.0), shape.held_tokens * 1.5))


def _unknown(observation: Observation, code: str, why: str) -> Sizing:
    return Sizing(observation.current, f"held at {observation.current}: {why}", code, {}, hold_down=True)
