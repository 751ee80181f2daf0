"""A SageServe-like policy: pods for the coming hour from a forecast, and steps by utilisation within it.

Source: SageServe (arXiv 2502.14617): an ARIMA forecast of each model's tokens per second, hourly, and an
integer linear programme that places instances over models and regions at the least cost; between its runs
instances are added and removed by thresholds of effective memory utilisation. With one model and one pool
the programme has one variable, so its solution is a ceiling: ⌈forecast / what an instance sustains⌉. The
forecast is `autoregression` (theirs in kind); the hold between two steps is ours.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from presage_policies.forecasting import TokenSeries
from presage_policies.scaling.autoregression import next_value
from presage_policies.scaling.capacity import modelled_rates
from presage_policies.scaling.policy import Observation, Sizing


@dataclass(frozen=True, slots=True)
class SageServeParameters:
    """`plan_seconds` between plans; thresholds of mean KV use; `hold_seconds` between two steps."""

    plan_seconds: float = 3600.0
    up: float = 0.70
    down: float = 0.30
    hold_seconds: float = 60.0
    order: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.down < self.up <= 1:
            raise ValueError(f"thresholds are down {self.down}, up {self.up}: give 0 <= down < up <= 1")
        if not self.plan_seconds > 0 or self.hold_seconds < 0 or self.order < 1:
            raise ValueError("plan_seconds must be positive, hold_seconds 0 or more, order 1 or more")


@dataclass(frozen=True, slots=True)
class SageServeState:
    """The plan, since when it stands, and when the last step within it was made."""

    plan: int | None = None
    planned_at: float | None = None
    stepped_at: float | None = None
    steps: int = 0
    words: str = "no plan yet"


class SageServe:
    """The hourly plan and its corrections."""

    name = "SageServe"

    def __init__(self, parameters: SageServeParameters | None = None) -> None:
        self.parameters = parameters or SageServeParameters()

    def initial(self) -> SageServeState:
        """Return the state before the first plan."""
        return SageServeState()

    def size(self, state: SageServeState, observation: Observation) -> tuple[SageServeState, Sizing]:
        """Return the next state and the planned replicas with the steps made since."""
        state = self._planned(state, observation)
        current = observation.current
        usages = [i.kv_usage for i in observation.serving if i.kv_usage is not None]
        if state.plan is None and not usages:
            words = f"held at {current}: neither a forecast nor utilisation is known"
            return state, Sizing(current, words, "MetricsUnavailable", {}, hold_down=True)
        state = self._stepped(state, observation, usages)
        replicas = max(0, (current if state.plan is None else state.plan) + state.steps)
        use = f"KV use {sum(usages) / len(usages):.0%}" if usages else "KV use unknown"
        reason = f"{state.words}; {use}: {state.steps:+d}"
        code = "HourlyPlan" if state.steps == 0 else "UtilisationStep"
        return state, Sizing(replicas, reason, code, unguarded=True)

    def _planned(self, state: SageServeState, observation: Observation) -> SageServeState:
        now, length = observation.now, self.parameters.plan_seconds
        if state.planned_at is not None and now < state.planned_at + length:
            return state
        rates = modelled_rates(observation)
        hourly = [
            _means(observation.series, kind, self.parameters.plan_seconds) for kind in ("prompt", "output")
        ]
        prompt, output = (next_value(each, self.parameters.order) for each in hourly)
        if rates is None or prompt is None or output is None:
            return state
        needed = max(prompt / rates.prompt, output / rates.output)
        words = f"{prompt:.0f} prompt + {output:.0f} output tokens/s forecast need {needed:.2f}"
        return SageServeState(math.ceil(needed), now, state.stepped_at, 0, words)

    def _stepped(
        self, state: SageServeState, observation: Observation, usages: list[float]
    ) -> SageServeState:
        """Add or take away one pod by mean KV use, once a hold; without a plan the present pods are it."""
        now = observation.now
        held = state.stepped_at is not None and now < state.stepped_at + self.parameters.hold_seconds
        if not usages or held or observation.ready != observation.current:
            return state
        use = sum(usages) / len(usages)
        if self.parameters.down <= use <= self.parameters.up:
            return state if state.plan is not None else replace(state, steps=0)
        step = 1 if use > self.parameters.up else -1
        steps = step if state.plan is None else state.steps + step
        return replace(state, steps=steps, stepped_at=now)


def _means(series: TokenSeries, kind: str, seconds: float) -> list[float]:
    """Return the means of whole plan lengths of a series, oldest first, without those wholly absent."""
    values = series.prompt if kind == "prompt" else series.output
    size = max(1, round(seconds / series.window_seconds))
    whole = len(values) // size
    if whole == 0:
        return [] if not np.isfinite(values).any() else [float(np.nanmean(values))]
    blocks = values[len(values) - whole * size :].reshape(whole, size)
    return [float(np.nanmean(block)) for block in blocks if np.isfinite(block).any()]
