"""Sizing by the engine model and the objectives: the least pool that keeps them, now and until help comes.

Ours. Demand is the arrival rate, seen within seconds (`arrival_rate`); what one pod more would bring is asked
of the engine model for the whole pool (`engine.pooled`) instead of one learnt μ; what may come before the
next pod could is learnt from past surprises, or left to a forecast that has proved better (`surprise`),
and the pool is held so large that it stands that surge until pods come (`engine.transient`). Bursts that are
over before a pod could come are learnt by replaying them (`bursts`), and what the model gets wrong by what is
measured (`misses`).
"""

import math
from dataclasses import dataclass, field, replace

from presage_policies.engine import EngineProfile, RequestShape
from presage_policies.objectives import Objectives
from presage_policies.scaling.arrival_rate import ArrivalRate, arrival_rate, dispersion_of, variation_of
from presage_policies.scaling.behavior import Behavior, Rules
from presage_policies.scaling.bursts import Bursts, fading
from presage_policies.scaling.misses import Misses, fates
from presage_policies.scaling.policy import Observation, Sizing
from presage_policies.scaling.sizer import Need, Sizer
from presage_policies.scaling.surprise import Look, Surprises

SLO_MODEL_BEHAVIOR = Behavior(up=Rules(), down=Rules())
"""The policy holds by itself, so `behavior` need not."""

DISPERSION_SECONDS = 600.0  # over which the dispersion of arrivals is averaged
ENOUGH_REQUESTS = 20.0  # to tell mean lengths, and what a sequence holds
LASTING_SECONDS = 30.0  # a shorter rise is a burst, which queues and what is free in the batches take up
SETTLING_SECONDS = 15.0  # after demand has fallen, before what was wanted earlier is let go: one interval


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
class Wanted:
    """Replicas that were needed at a time, and until when they are held against chance."""

    at: float
    replicas: int
    until: float


@dataclass(frozen=True, slots=True)
class SLOModelState:
    """What it remembers; lost, it provides for no surprises until it has seen some again.

    `wanted` = the replicas that were needed over the hold; `bases` = what the rate alone needed, by time,
    from a lead time before the arrivals that are replayed; `rose_at` = when a lasting rise was last going on;
    `dispersion` of arrivals, averaged over the `dispersion_seconds` that are known (it begins as Poisson's,
    known for two minutes).
    """

    surprises: Surprises = field(default_factory=Surprises)
    wanted: tuple[Wanted, ...] = ()
    bursts: Bursts = field(default_factory=Bursts)
    misses: Misses = field(default_factory=Misses)
    bases: tuple[tuple[float, int], ...] = ()
    rose_at: float = -math.inf
    first_seen_at: float | None = None
    dispersion: float = 1.0
    dispersion_seconds: float = 120.0
    seen_at: float | None = None


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
        if state.first_seen_at is None:
            state = replace(state, first_seen_at=observation.now)
        state = self._with_dispersion(state, observation)
        shape = _shape(observation, engine, state.dispersion)
        measured = self._measured(observation, shape, state.dispersion)
        if shape is None or measured is None:
            return state, _unknown(observation, "DemandUnknown", "neither arrivals nor a measured token rate")
        pool = Sizer(engine, objectives, shape, pooled=self.parameters.pooled)
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
        pool: Sizer,
        measured: ArrivalRate,
        foretold: float | None,
    ) -> tuple[SLOModelState, Sizing]:
        trusted = foretold is not None and state.surprises.trusts_forecasts
        ahead = foretold if trusted else None
        rate = measured.rate * state.misses.factor
        reserve = state.surprises.reserve(rate, aided=trusted) if self.parameters.reserve else 0.0
        needs = _by_rate(pool, observation, rate, reserve, ahead)
        base = max(need.replicas for need in needs)
        if self.parameters.reserve:
            state = _with_bursts(state, observation, pool, base)
        needs += _besides(state, observation, pool, base)
        need = max(needs, key=lambda n: n.replicas)
        state = replace(state, misses=state.misses.seen(observation, need.replicas))
        state = self._held(state, observation, measured, need.replicas)
        replicas = max(each.replicas for each in state.wanted)
        reason, code = "; ".join(n.words for n in needs), need.code
        if replicas > need.replicas:
            since = observation.now - min(each.at for each in state.wanted)
            reason, code = f"{reason}; {replicas} were needed less than {since:.0f} s ago", "Held"
        figures = {
            "requestsPerSecond": measured.rate,
            "reserveRequestsPerSecond": reserve,
            "correction": state.misses.factor,
            "dispersion": state.dispersion,
            "instancesNeeded": float(need.replicas),
        }
        if foretold is not None:
            figures["foretoldRequestsPerSecond"] = foretold
        known = state.first_seen_at is not None and (
            observation.now >= state.first_seen_at + observation.horizon_seconds
        )
        return state, Sizing(replicas, reason, code, figures, hold_down=not known)

    def _held(
        self, state: SLOModelState, observation: Observation, measured: ArrivalRate, needed: int
    ) -> SLOModelState:
        """Remember what is needed for a hold, and drop what is held no longer.

        A pod let go costs a cold start when it is needed again, so a need is held as long as that; and one
        that came too late, as long again, so that no pod is given up before it was ready. A fall that chance
        does not explain ends what was needed before it, unless a rise as large was seen, or bursts recur:
        then demand that comes and goes is likely to come back.
        """
        now, parameter, objectives = observation.now, self.parameters.hold_seconds, observation.objectives
        hold = observation.horizon_seconds if parameter is None else parameter
        late = observation.horizon_seconds if needed > observation.ready else 0.0
        since = -math.inf
        recur = objectives is not None and state.bursts.recur(objectives.percentile)
        likely_back = recur or measured.fell_by <= state.surprises.unaided.largest
        if measured.fell_by > 0 and not likely_back and measured.seconds >= SETTLING_SECONDS:
            since = now - measured.seconds + SETTLING_SECONDS
        kept = tuple(each for each in state.wanted if each.at > since and each.until > now)
        return replace(state, wanted=(*kept, Wanted(now, needed, now + hold + late)))

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


def _by_rate(
    pool: Sizer, observation: Observation, rate: float, reserve: float, ahead: float | None
) -> list[Need]:
    """Return what the rate, a forecast that is trusted and a rise upon them need."""
    needs = [pool.level(rate)]
    if ahead is not None:
        needs.append(pool.ahead(ahead, observation))
    if reserve > 0:
        base, level = max(need.replicas for need in needs), max(rate, ahead or 0.0)
        needs.append(pool.surge(base, level, reserve, observation.horizon_seconds))
    return needs


def _besides(state: SLOModelState, observation: Observation, pool: Sizer, base: int) -> list[Need]:
    """Return what bursts, requests in flight and missed objectives ask for besides the rate."""
    objectives = observation.objectives
    assert objectives is not None
    needs = []
    bursts = state.bursts.needed(base, objectives.percentile)
    if bursts > base:
        needs.append(pool.bursts(bursts))
    if observation.inflight_requests is not None:
        needs.append(pool.inflight(observation.inflight_requests))
    finished, missed = fates(observation)
    if finished >= ENOUGH_REQUESTS and missed > finished * (1 - objectives.percentile / 100):
        words = f"{missed:.0f} of {finished:.0f} missed the objectives with {observation.ready}"
        needs.append(Need(observation.ready, words, "ObjectivesMissed"))
    return needs


def _with_bursts(state: SLOModelState, observation: Observation, pool: Sizer, base: int) -> SLOModelState:
    """Remember what arrivals took beyond what had been asked for a lead time before them.

    Seen a while later, when a lasting rise can be told from a burst: what that lacks, the reserve for
    rises learns.
    """
    now, lead = observation.now, observation.horizon_seconds
    at = now - LASTING_SECONDS - observation.interval_seconds
    rising = state.surprises.unaided.latest is not None
    due = [each for each in state.bases if each[0] <= at - lead]
    later = [each for each in state.bases if each[0] > at - lead]
    state = replace(state, bases=(*due[-1:], *later, (now, base)), rose_at=now if rising else state.rose_at)
    if not due:
        return state
    stood = due[-1][1]
    if at <= state.rose_at + LASTING_SECONDS:
        stood = max(stood, base)
    return _replayed(state, observation, pool, at, stood)


def _replayed(
    state: SLOModelState, observation: Observation, pool: Sizer, at: float, stood: int
) -> SLOModelState:
    """Replay the arrivals up to `at` and remember what those of the last interval took."""
    arrivals, objectives, seconds = observation.arrivals, observation.objectives, observation.interval_seconds
    if arrivals is None or objectives is None or arrivals.seconds <= observation.now - at:
        return state
    past = arrivals.requests[: -arrivals.bins_of(observation.now - at)]
    judged = min(len(past), arrivals.bins_of(seconds))
    requests = float(past[-judged:].sum()) if judged > 0 else 0.0
    if requests <= 0:
        return state
    took = pool.taken(state.misses.factor * past, arrivals.bin_seconds, judged)
    faded = fading(seconds, observation.horizon_seconds, objectives.percentile)
    return replace(state, bursts=state.bursts.seen(requests, took, stood, faded))


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
