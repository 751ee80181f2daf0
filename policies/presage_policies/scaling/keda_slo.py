"""The SLO-aware KEDA law: latencies over their objectives as the load signal.

Source: llm-d's guide to autoscaling with KEDA on objectives (2026), which runs it on latencies that the
router predicts as requests arrive; they rise as pressure builds. On measured latencies, which rise after
the damage, the same law is a weaker rival, kept apart by name.

A recording rule makes raw s = max(P90 TTFT/objective, P90 TPOT/objective) over the last minute, clamped at
2.0; s is its mean over 45 s. s > 0.55 asks for n + ⌈n·(s·credit/0.55 - 1)⌉ replicas, where pods that warm up
get credit = ready/n; s < 0.40 for n - ⌊n·(1 - s/0.40)⌋; in between nothing changes.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from presage_policies.objectives import Objectives
from presage_policies.scaling.behavior import Behavior, RatePolicy, Rules
from presage_policies.scaling.policy import Observation, Sizing
from presage_policies.scaling.samples import Samples
from presage_policies.scaling.signals import LatencySignal

KEDA_SLO_BEHAVIOR = Behavior(
    up=Rules(0.0, (RatePolicy("Percent", 100, 60), RatePolicy("Pods", 4, 60)), "Max"),
    down=Rules(180.0, (RatePolicy("Pods", 1, 120),), "Max"),
)
"""How fast the published law lets replicas change."""

ROUNDING = 1e-9  # floats that should be whole are


@dataclass(frozen=True, slots=True)
class KEDASLOParameters:
    """Thresholds of s, its ceiling, over how many seconds it is averaged, and which latencies it reads."""

    signal: Literal["predicted", "measured"] = "predicted"
    up: float = 0.55
    down: float = 0.40
    ceiling: float = 2.0
    mean_seconds: float = 45.0

    def __post_init__(self) -> None:
        if self.signal not in ("predicted", "measured"):
            raise ValueError(f"signal is {self.signal!r}: use predicted or measured")
        if not 0 < self.down <= self.up <= self.ceiling:
            raise ValueError(
                f"thresholds are down {self.down}, up {self.up}, ceiling {self.ceiling}: "
                "give 0 < down <= up <= ceiling"
            )
        if self.mean_seconds < 0:
            raise ValueError(f"mean_seconds is {self.mean_seconds}: give zero or more")


@dataclass(frozen=True, slots=True)
class KEDASLOState:
    """The raw pressures of the last seconds; lost at the price of a shorter mean."""

    raw: Samples = field(default_factory=Samples)


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
        raw = self._raw(observation.latency, observation.objectives)
        state = KEDASLOState(state.raw.with_reading(now, raw, seconds))
        pressure = state.raw.mean(now, seconds)
        if pressure is None:
            words = f"held at {replicas}: no {self.parameters.signal} latencies in the last minute"
            return state, Sizing(replicas, words, "LatencyUnknown", {}, hold_down=True)
        wanted, code = self._law(pressure, replicas, observation.ready)
        words = f"P90 latencies at {pressure:.2f} of their objectives ({self.parameters.signal})"
        return state, Sizing(
            wanted, f"{words}: {wanted} replicas", code, {"pressure": pressure}, unguarded=True
        )

    def _raw(self, latency: LatencySignal | None, objectives: Objectives | None) -> float | None:
        if latency is None or objectives is None:
            return None
        predicted = self.parameters.signal == "predicted"
        ttft = latency.predicted_ttft_p90 if predicted else latency.ttft_p90
        tpot = latency.predicted_tpot_p90 if predicted else latency.tpot_p90
        shares = []
        if ttft is not None:
            shares.append(ttft / objectives.ttft_seconds)
        if tpot is not None:
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
