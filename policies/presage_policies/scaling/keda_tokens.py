"""KEDA on the token rate: ⌈tokens per second / threshold⌉, the usual scaler of a Prometheus counter.

Source: KEDA's documentation (concepts: scaling deployments; scalers: Prometheus). The scaler hands the rate
to a HorizontalPodAutoscaler as an External metric with AverageValue, so the HPA's tolerance of 10 % and its
`behavior` hold; it is polled every 30 s, and only the step between one and zero replicas waits for
`cooldownPeriod` (300 s) after the last poll that was active.
"""

import math
from dataclasses import dataclass
from typing import Literal

from presage_policies.scaling.hpa import TOLERANCE
from presage_policies.scaling.policy import Observation, Sizing


@dataclass(frozen=True, slots=True)
class KEDATokensParameters:
    """`threshold` = tokens/s a replica; `activation` = tokens/s above which the scaler is active.

    `signal`: tokens of requests as they arrive, over `rate_seconds`; or as they are served, which is what
    an engine's own counters tell and never exceeds what the pool can serve.
    """

    threshold: float = 5000.0
    signal: Literal["arrived", "served"] = "served"
    rate_seconds: float = 60.0
    polling_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    activation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("threshold", "rate_seconds", "polling_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a positive number")
        if self.signal not in ("arrived", "served"):
            raise ValueError(f"signal is {self.signal!r}: use arrived or served")


@dataclass(frozen=True, slots=True)
class KEDATokensState:
    """The last poll: when, what it read, and when the scaler was last active."""

    polled_at: float | None = None
    rate: float | None = None
    active_at: float | None = None


class KEDATokens:
    """The token-rate policy."""

    name = "KEDATokens"

    def __init__(self, parameters: KEDATokensParameters | None = None) -> None:
        self.parameters = parameters or KEDATokensParameters()

    def initial(self) -> KEDATokensState:
        """Return the state before the first poll."""
        return KEDATokensState()

    def size(self, state: KEDATokensState, observation: Observation) -> tuple[KEDATokensState, Sizing]:
        """Return the next state and the replicas that the last polled rate asks for."""
        state = self._polled(state, observation)
        current, threshold = observation.current, self.parameters.threshold
        if state.rate is None:
            words = f"held at {current}: the token rate is missing"
            return state, Sizing(current, words, "MetricsUnavailable", {}, hold_down=True)
        words = f"{state.rate:.0f} tokens/s {self.parameters.signal} against {threshold:.0f} a replica"
        figures = {"tokensPerSecond": state.rate}
        if current > 0 and abs(state.rate / (threshold * current) - 1) <= TOLERANCE:
            return state, Sizing(current, words, "WithinTolerance", figures, unguarded=True)
        replicas = math.ceil(state.rate / threshold)
        if replicas == 0 and self._cooling(state, observation.now):
            replicas = min(1, current)
        code = "AboveTarget" if replicas > current else "BelowTarget"
        code = code if replicas != current else "WithinTolerance"
        return state, Sizing(replicas, words, code, figures, unguarded=True)

    def _polled(self, state: KEDATokensState, observation: Observation) -> KEDATokensState:
        now = observation.now
        if state.polled_at is not None and now < state.polled_at + self.parameters.polling_seconds:
            return state
        rate = self._rate(observation)
        active = rate is not None and rate > self.parameters.activation
        return KEDATokensState(now, rate, now if active else state.active_at)

    def _cooling(self, state: KEDATokensState, now: float) -> bool:
        return state.active_at is not None and now < state.active_at + self.parameters.cooldown_seconds

    def _rate(self, observation: Observation) -> float | None:
        if self.parameters.signal == "arrived":
            return (
                None
                if observation.arrivals is None
                else observation.arrivals.tokens(self.parameters.rate_seconds)
            )
        rates = [
            i.prompt_rate + i.output_rate
            for i in observation.serving
            if i.prompt_rate is not None and i.output_rate is not None
        ]
        return sum(rates) if rates else None
