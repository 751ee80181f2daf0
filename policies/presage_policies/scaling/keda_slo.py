"""The SLO-aware KEDA law: latencies over their objectives as the load signal.

Source: llm-d's guide to autoscaling with KEDA on objectives (2026), which runs it on latencies that the
router predicts as requests arrive (`latency_predictor` stands in for its trained model); they rise as
pressure builds. On measured latencies, which rise after the damage, the same law is a weaker rival.

A recording rule makes raw s = max(P90 TTFT/objective, P90 TPOT/objective) over the last minute, clamped at
2.0; s is its mean over 45 s. s > 0.55 asks for n + ⌈n·(s·credit/0.55 - 1)⌉ replicas, where pods that warm up
get credit = ready/n; s < 0.40 for n - ⌊n·(1 - s/0.40)⌋; in between nothing changes.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from presage_policies.objectives import Objectives
from presage_policies.scaling.behavior import Behavior, RatePolicy, Rules
from presage_policies.scaling.latency_predictor import TTFT_MARGIN, predicted_latency
from presage_policies.scaling.policy import Observation, Sizing
from presage_policies.scaling.samples import Samples

KEDA_SLO_BEHAVIOR = Behavior(
    up=Rules(0.0, (RatePolicy("Percent", 100, 60), RatePolicy("Pods", 4, 60)), "Max"),
    down=Rules(180.0, (RatePolicy("Pods", 1, 120),), "Max"),
)
"""How fast the published law lets replicas change."""

RULE_SECONDS = 60.0  # predictions of the last minute make a P90
ROUNDING = 1e-9  # floats that should be whole are


@dataclass(frozen=True, slots=True)
class KEDASLOParameters:
    """Thresholds of s, its ceiling, over how many seconds it is averaged, and which latencies it reads.

    `signal`: `predicted` by a stand-in for the router's trained model, whose P90 of TTFT is `ttft_margin`
    times the expected one; `promised` by the bids of Presage's own guards; or `measured`.
    """

    signal: Literal["predicted", "promised", "measured"] = "predicted"
    ttft_margin: float = TTFT_MARGIN
    up: float = 0.55
    down: float = 0.40
    ceiling: float = 2.0
    mean_seconds: float = 45.0

    def __post_init__(self) -> None:
        if self.signal not in ("predicted", "promised", "measured"):
            raise ValueError(f"signal is {self.signal!r}: use predicted, promised or measured")
        if not self.ttft_margin >= 1:
            raise ValueError(f"ttft_margin is {self.ttft_margin}: give 1 or more")
        if not 0 < self.down <= self.up <= self.ceiling:
            raise ValueError(
                f"thresholds are down {self.down}, up {self.up}, ceiling {self.ceiling}: "
                "give 0 < down <= up <= ceiling"
            )
        if self.mean_seconds < 0:
            raise ValueError(f"mean_seconds is {self.mean_seconds}: give zero or more")


@dataclass(frozen=True, slots=True)
class KEDASLOState:
    """The raw pressures of the last seconds, and the predictions of the last minute they are made from."""

    raw: Samples = field(default_factory=Samples)
    ttft: Samples = field(default_factory=Samples)
    tpot: Samples = field(default_factory=Samples)


class KEDASLO:
    """The SLO-aware reactive policy."""

    name = "KEDASLO"

    def __init__(self, parameters: KEDASLOParameters | None = None) -> None:
        self.parameters = parameters or KEDASLOParameters()

    def initial(self) -> KEDASLOState:
        """Return the state before the first observation."""
        return KEDASLOState()

    def size(self, state: KEDASLOState, observation: Observation) -> tuple[KEDASLOState, Sizing]:
        """Return the next state and the replicas that the pressure on the objectives asks for."""
        seconds, now, replicas = self.parameters.mean_seconds, observation.now, observation.current
        state, ttft, tpot = self._latencies(state, observation)
        raw = self._raw(ttft, tpot, observation.objectives)
        state = replace(state, raw=state.raw.with_reading(now, raw, seconds))
        pressure = state.raw.mean(now, seconds)
        if pressure is None:
            words = f"held at {replicas}: no {self.parameters.signal} latencies in the last minute"
            return state, Sizing(replicas, words, "LatencyUnknown", {}, hold_down=True)
        wanted, code = self._law(pressure, replicas, observation.ready)
        words = f"P90 latencies at {pressure:.2f} of their objectives ({self.parameters.signal})"
        return state, Sizing(
            wanted, f"{words}: {wanted} replicas", code, {"pressure": pressure}, unguarded=True
        )

    def _latencies(
        self, state: KEDASLOState, observation: Observation
    ) -> tuple[KEDASLOState, float | None, float | None]:
        """Return the P90 of TTFT and TPOT (s) that the law reads; None = unknown."""
        latency = observation.latency
        if self.parameters.signal == "predicted":
            found, now = predicted_latency(observation, self.parameters.ttft_margin), observation.now
            ttft, tpot = (None, None) if found is None else found
            state = replace(
                state,
                ttft=state.ttft.with_reading(now, ttft, RULE_SECONDS),
                tpot=state.tpot.with_reading(now, tpot, RULE_SECONDS),
            )
            return state, state.ttft.quantile(0.9), state.tpot.quantile(0.9)
        if latency is None:
            return state, None, None
        if self.parameters.signal == "promised":
            return state, latency.predicted_ttft_p90, latency.predicted_tpot_p90
        return state, latency.ttft_p90, latency.tpot_p90

    def _raw(self, ttft: float | None, tpot: float | None, objectives: Objectives | None) -> float | None:
        shares = []
        if ttft is not None and objectives is not None:
            shares.append(ttft / objectives.ttft_seconds)
        if tpot is not None and objectives is not None:
            shares.append(tpot / objectives.tpot_seconds)
        return min(self.parameters.ceiling, max(shares)) if shares else None

    def _law(self, pressure: float, replicas: int, ready: int) -> tuple[int, str]:
        up, down = self.parameters.up, self.parameters.down
        if pressure > up:
            credit = ready / replicas if 0 < ready < replicas else 1.0
            wanted = replicas + math.ceil(replicas * (pressure * credit / up - 1) - ROUNDING)
            return wanted, "PressureHigh"
        if pressure < down:
            return replicas - math.floor(replicas * (1 - pressure / down) + ROUNDING), "PressureLow"
        return replicas, "PressureFair"
