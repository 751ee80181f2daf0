"""PreServe's scaler (arXiv 2504.03702): capacity ahead of the forecast, corrected by anticipated load.

Per decision: N = ⌈max(P/μp, D/μd, (P+D)/μt)⌉ with the rates forecast over the horizon; one more for each
instance whose anticipated KV use overloads, once an episode; and fewer at most once a window, only when
every instance anticipates less than 30 %.
"""

import math
from dataclasses import dataclass, field, replace

from presage_policies.anticipator import OVERLOAD_SHARE
from presage_policies.forecasting import TokenRates
from presage_policies.scaling.capacity import CapacityProfile, modelled_rates
from presage_policies.scaling.policy import Observation, Sizing

ROUNDING = 1e-9  # a demand of exactly n instances needs n, whatever floats make of it


@dataclass(frozen=True, slots=True)
class PreServeParameters:
    """`level` = forecast quantile to provide for; `shrink_below` = the paper's 0.30.

    `level_windows` = how many past windows make the measured level, below which nothing is sized.
    `as_published` leaves out what is ours: the measured level as a floor, the margins in what capacity
    is learnt from, the engine model once anything is learnt, the check of survivors (see `PUBLISHED`).
    """

    level: float = 0.9
    shrink_below: float = 0.30
    level_windows: int = 3
    as_published: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"forecast quantile is {self.level}: give a number between 0 and 1")
        if not 0 < self.shrink_below <= 1:
            raise ValueError(f"shrink_below is {self.shrink_below}: give a share of KV between 0 and 1")
        if self.level_windows < 1:
            raise ValueError(f"level_windows is {self.level_windows}: give at least 1")


PUBLISHED = PreServeParameters(level=0.5, as_published=True)
"""PreServe as its paper has it: a point forecast, taken as the median."""


@dataclass(frozen=True, slots=True)
class PreServeState:
    """What PreServe remembers; all of it may be lost at the price of one window without scale-down."""

    capacity: CapacityProfile = field(default_factory=CapacityProfile)
    last_current: int | None = None
    shrunk_at: float | None = None
    episode: frozenset[str] = frozenset()
    corrected: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """Token rates to provide for, and where they come from."""

    rates: TokenRates
    forecast: bool
    words: str


class PreServe:
    """The predictive policy."""

    name = "PreServe"

    def __init__(self, parameters: PreServeParameters | None = None) -> None:
        self.parameters = parameters or PreServeParameters()

    def initial(self) -> PreServeState:
        """Return the state before the first observation."""
        return PreServeState()

    def size(self, state: PreServeState, observation: Observation) -> tuple[PreServeState, Sizing]:
        """Return the next state and the replicas that forecast and anticipated load ask for."""
        state = self._remembered(state, observation)
        capacity = self._capacity(state, observation)
        if capacity is None:
            return state, _held(
                observation, "CapacityUnknown", "no engine profile, lengths or good window yet"
            )
        demand = self._demand(observation)
        if demand is None:
            return state, _held(observation, "DemandUnknown", "neither a forecast nor a measured token rate")
        needed = capacity.instances_for(demand.rates)
        sizing = self._planned(observation, demand, needed)
        state, sizing = self._corrected(state, observation, sizing)
        if sizing.replicas < observation.current:
            sizing = self._shrunk(state, observation, sizing)
        figures, bare = _figures(demand, capacity, needed), self.parameters.as_published
        return state, replace(sizing, figures=figures, unguarded=bare)

    def _remembered(self, state: PreServeState, observation: Observation) -> PreServeState:
        """Learn capacity, and notice a scale-down by its effect, whoever made it."""
        capacity = state.capacity.learned(
            observation.serving, observation.objectives, as_published=self.parameters.as_published
        )
        shrunk = state.last_current is None or observation.current < state.last_current
        return replace(
            state,
            capacity=capacity,
            last_current=observation.current,
            shrunk_at=observation.now if shrunk else state.shrunk_at,
        )

    def _capacity(self, state: PreServeState, observation: Observation) -> CapacityProfile | None:
        if self.parameters.as_published and state.capacity.known:
            return state.capacity
        seed = modelled_rates(observation)
        capacity = state.capacity if seed is None else state.capacity.at_least(seed)
        return capacity if capacity.known else None

    def _demand(self, observation: Observation) -> Demand | None:
        """Return the forecast's quantile over the horizon, and never less than the measured level."""
        level = observation.series.latest(self.parameters.level_windows)
        floored = not self.parameters.as_published
        if observation.forecast is None:
            return None if level is None else Demand(level, forecast=False, words="measured, no forecast")
        peak = observation.forecast.peak(self.parameters.level, observation.horizon_seconds, observation.now)
        if not math.isfinite(peak.total):
            return (
                None
                if level is None
                else Demand(level, forecast=False, words="measured, forecast not finite")
            )
        words = (
            f"P{self.parameters.level * 100:g} forecast by {observation.forecast.model} "
            f"over {observation.horizon_seconds:.0f} s"
        )
        if level is None or not floored or (peak.prompt >= level.prompt and peak.output >= level.output):
            return Demand(peak, forecast=True, words=words)
        highest = TokenRates(max(peak.prompt, level.prompt), max(peak.output, level.output))
        return Demand(highest, forecast=False, words=f"measured above the {words}")

    def _planned(self, observation: Observation, demand: Demand, needed: float) -> Sizing:
        replicas = math.ceil(needed - ROUNDING)
        reason = (
            f"{demand.rates.prompt:.0f} prompt + {demand.rates.output:.0f} output tokens/s ({demand.words}) "
            f"need {needed:.2f} instances"
        )
        code = "ForecastDemand" if demand.forecast else "MeasuredDemand"
        return Sizing(replicas, reason, code if replicas != observation.current else "DemandMet")

    def _corrected(
        self, state: PreServeState, observation: Observation, sizing: Sizing
    ) -> tuple[PreServeState, Sizing]:
        """Add one instance for each that newly overloads, less those that are already coming."""
        known = {i.name: i.overload for i in observation.serving}
        overloaded = {name for name, share in known.items() if share is not None and share > OVERLOAD_SHARE}
        silent = {name for name in state.episode if known.get(name, 0.0) is None}
        new = overloaded - state.episode
        episode = frozenset(overloaded | silent)
        corrected = state.corrected if episode else 0
        if new:
            coming = max(0, observation.current - observation.ready)
            corrected = max(corrected, observation.current + max(0, len(new) - coming))
        state = replace(state, episode=episode, corrected=corrected)
        if corrected <= sizing.replicas:
            return state, sizing
        reason = f"{sizing.reason}; {len(episode)} instances anticipate KV overload, so {corrected}"
        return state, replace(sizing, replicas=corrected, reason=reason, code="OverloadAnticipated")

    def _shrunk(self, state: PreServeState, observation: Observation, sizing: Sizing) -> Sizing:
        """Allow fewer only by the paper's rule: once a window, all U low, isolate N - Σ max(U)/0.30."""
        peaks = [i.projected_peak for i in observation.serving if i.projected_peak is not None]
        if len(peaks) < max(1, observation.ready):
            reason = f"{sizing.reason}; held: {len(peaks)} of {observation.ready} ready pods report load"
            return replace(
                sizing,
                replicas=observation.current,
                reason=reason,
                code="TelemetryIncomplete",
                hold_down=True,
            )
        window = observation.series.window_seconds
        since = observation.now - (observation.now if state.shrunk_at is None else state.shrunk_at)
        if since < window:
            reason = f"{sizing.reason}; held: one scale-down per {window:.0f} s, last {since:.0f} s ago"
            return replace(sizing, replicas=observation.current, reason=reason, code="WindowNotOver")
        limit = self.parameters.shrink_below
        isolate = math.floor(observation.current - sum(peaks) / limit + ROUNDING) if max(peaks) < limit else 0
        replicas = max(sizing.replicas, observation.current - isolate)
        if replicas == observation.current:
            reason = f"{sizing.reason}; held: KV peaks sum to {sum(peaks):.2f}, highest {max(peaks):.2f}"
            return replace(sizing, replicas=replicas, reason=reason, code="LoadTooHighToShrink")
        return replace(sizing, replicas=replicas)


def _held(observation: Observation, code: str, why: str) -> Sizing:
    return Sizing(observation.current, f"held at {observation.current}: {why}", code, {}, hold_down=True)


def _figures(demand: Demand, capacity: CapacityProfile, needed: float) -> dict[str, float]:
    return {
        "promptTokensPerSecond": demand.rates.prompt,
        "outputTokensPerSecond": demand.rates.output,
        "instancePromptTokensPerSecond": capacity.prompt,
        "instanceOutputTokensPerSecond": capacity.output,
        "instanceTotalTokensPerSecond": capacity.total,
        "instancesNeeded": needed,
    }
