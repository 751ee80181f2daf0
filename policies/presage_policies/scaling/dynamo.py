"""A Dynamo-like planner: a floor from forecast traffic every 180 s, and one pod a step above it, every 5 s.

Source: NVIDIA Dynamo's planner (documentation, "Planner Design": throughput-based and load-based scaling).
The throughput loop forecasts the request count and mean input and output lengths of the next interval, and
divides by what a profile says that one replica serves within its targets. The load loop adds one replica
when latencies exceed their targets and takes one away when they would stay clear of them on one fewer; it
never goes below the floor. The profile is asked of the engine model here, at the median as a profiling run
would find it; the forecast is `autoregression`; latencies on one fewer are N/(N - 1) of the present ones in
place of Dynamo's online regression; its correction factors are left out, the model being the engine's own.
Those four are ours.
"""

import math
from dataclasses import dataclass, replace

from presage_policies.engine import EngineProfile, steady_state, sustainable_rates
from presage_policies.engine.sustained import MARGIN
from presage_policies.objectives import Objectives
from presage_policies.scaling.autoregression import next_value
from presage_policies.scaling.policy import Observation, Sizing

PROFILED_PERCENTILE = 50.0
EDGE_SECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class DynamoParameters:
    """Intervals of both loops (s); `sensitivity` = share of a target below which a replica may go.

    `history` = past intervals that forecasts are fitted to.
    """

    floor_seconds: float = 180.0
    load_seconds: float = 5.0
    sensitivity: float = 0.8
    history: int = 50
    order: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.load_seconds <= self.floor_seconds:
            raise ValueError(
                f"intervals are load {self.load_seconds}, floor {self.floor_seconds}: give 0 < load <= floor"
            )
        if not 0 < self.sensitivity <= 1:
            raise ValueError(f"sensitivity is {self.sensitivity}: give a share above 0 and up to 1")
        if self.history < 1 or self.order < 1:
            raise ValueError(f"history is {self.history} and order {self.order}: give 1 or more")


@dataclass(frozen=True, slots=True)
class Interval:
    """Traffic of one interval: requests, and mean lengths (tokens; None = no requests)."""

    requests: float
    prompt_tokens: float | None
    output_tokens: float | None


@dataclass(frozen=True, slots=True)
class DynamoState:
    """The intervals behind, the one that runs, the floor, and the pods above it."""

    past: tuple[Interval, ...] = ()
    begun_at: float | None = None
    counted_at: float | None = None
    requests: float = 0.0
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0
    floor: int | None = None
    wanted: int | None = None
    stepped_at: float | None = None
    words: str = "no floor yet"


class Dynamo:
    """The planner's two loops."""

    name = "Dynamo"

    def __init__(self, parameters: DynamoParameters | None = None) -> None:
        self.parameters = parameters or DynamoParameters()

    def initial(self) -> DynamoState:
        """Return the state before the first observation."""
        return DynamoState()

    def size(self, state: DynamoState, observation: Observation) -> tuple[DynamoState, Sizing]:
        """Return the next state and the larger of floor and load-based replicas."""
        current = observation.current
        state = _counted(state, observation)
        state = self._floored(state, observation)
        state, words = self._stepped(state, observation)
        wanted = current if state.wanted is None else state.wanted
        if state.floor is None and words is None:
            reason = f"held at {current}: neither traffic nor latencies are known"
            return state, Sizing(current, reason, "MetricsUnavailable", {}, hold_down=True)
        replicas = max(wanted, state.floor or 0)
        code = "FloorForecast" if replicas == state.floor else "LoadStep"
        reason = f"{state.words}; {words or 'latencies unknown'}"
        return state, Sizing(replicas, reason, code, {"floor": float(state.floor or 0)}, unguarded=True)

    def _floored(self, state: DynamoState, observation: Observation) -> DynamoState:
        """End the interval when it is over, and forecast the next one's floor."""
        now, length = observation.now, self.parameters.floor_seconds
        if state.begun_at is None:
            return replace(state, begun_at=now)
        if now < state.begun_at + length - EDGE_SECONDS:
            return state
        count = state.requests
        done = Interval(
            count / (now - state.begun_at) * length,
            state.prompt_tokens / count if count > 0 else None,
            state.output_tokens / count if count > 0 else None,
        )
        past = (*state.past, done)[-self.parameters.history :]
        state = replace(state, past=past, begun_at=now, requests=0.0, prompt_tokens=0.0, output_tokens=0.0)
        return self._planned(state, observation)

    def _planned(self, state: DynamoState, observation: Observation) -> DynamoState:
        order = self.parameters.order
        requests = next_value([i.requests for i in state.past], order)
        prompt = next_value([i.prompt_tokens for i in state.past if i.prompt_tokens is not None], order)
        output = next_value([i.output_tokens for i in state.past if i.output_tokens is not None], order)
        if not requests or not prompt or not output or observation.engine is None:
            return state
        served = profiled_rate(observation.engine, prompt, output, observation.objectives)
        if served <= 0:
            return state
        rate = requests / self.parameters.floor_seconds
        floor = math.ceil(rate / served)
        words = (
            f"{rate:.2f} requests/s of {prompt:.0f} + {output:.0f} tokens forecast, {served:.2f} a replica"
        )
        return replace(state, floor=floor, words=f"{words}: floor {floor}")

    def _stepped(self, state: DynamoState, observation: Observation) -> tuple[DynamoState, str | None]:
        """Take one step of the load loop, while no earlier step is still under way."""
        now, latency, objectives = observation.now, observation.latency, observation.objectives
        if latency is None or objectives is None:
            return replace(state, wanted=None), None
        shares = [
            value / bound
            for value, bound in (
                (latency.ttft_p90, objectives.ttft_seconds),
                (latency.tpot_p90, objectives.tpot_seconds),
            )
            if value is not None
        ]
        if not shares:
            return replace(state, wanted=None), None
        words, current = f"latencies at {max(shares):.2f} of their targets", observation.current
        due = (
            state.stepped_at is None or now >= state.stepped_at + self.parameters.load_seconds - EDGE_SECONDS
        )
        if not due or observation.ready != current:
            return replace(state, wanted=current), words
        wanted = current
        if max(shares) > 1:
            wanted = current + 1
        elif current > 1 and max(shares) * current / (current - 1) < self.parameters.sensitivity:
            wanted = current - 1
        return replace(state, wanted=wanted, stepped_at=now), words


def profiled_rate(
    engine: EngineProfile, prompt: float, output: float, objectives: Objectives | None
) -> float:
    """Return the requests/s that a profiling run would find one replica serves within its targets."""
    bound = objectives or Objectives(math.inf, math.inf)
    median = Objectives(bound.ttft_seconds, bound.tpot_seconds, PROFILED_PERCENTILE)
    rate = sustainable_rates(engine, prompt, output, median).output / max(1.0, output) / MARGIN
    return rate if steady_state(engine, rate, prompt, output, PROFILED_PERCENTILE) is not None else 0.0


def _counted(state: DynamoState, observation: Observation) -> DynamoState:
    """Add the arrivals since the last look to the running interval."""
    arrivals, now = observation.arrivals, observation.now
    since = None if state.counted_at is None else now - state.counted_at
    state = replace(state, counted_at=now)
    if arrivals is None or since is None or since <= 0 or len(arrivals.requests) == 0:
        return state
    bins = arrivals.bins_of(since)
    return replace(
        state,
        requests=state.requests + float(arrivals.requests[-bins:].sum()),
        prompt_tokens=state.prompt_tokens + float(arrivals.prompt_tokens[-bins:].sum()),
        output_tokens=state.output_tokens + float(arrivals.output_tokens[-bins:].sum()),
    )
