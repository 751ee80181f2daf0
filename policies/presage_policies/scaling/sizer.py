"""How many instances a consideration asks for, by the engine: a rate, a rise, bursts, what is in flight."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presage_policies.engine import (
    EngineProfile,
    RequestShape,
    pooled_state,
    replayed,
    replicas_for,
    slots_of,
    surge,
    sustainable_rates,
)
from presage_policies.engine.pooled import WHAT_NO_POD_MENDS
from presage_policies.objectives import Objectives
from presage_policies.scaling.policy import Observation

Floats = NDArray[np.float64]
MOST_REPLICAS = 100_000
PREFILLS = 2.0  # lone first tokens that the TTFT objective keeps for a prefill amid others, in a surge
TYPICAL_PERCENTILE = 50.0
LEAST_WAIT_SHARE = 0.25  # of the TTFT objective that a surge may make a request wait in any case


@dataclass(frozen=True, slots=True)
class Need:
    """Replicas that one consideration asks for, and the words for it."""

    replicas: int
    words: str
    code: str


class Sizer:
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

    @staticmethod
    def bursts(needed: int) -> Need:
        """Return what stands bursts as were seen."""
        return Need(needed, f"bursts as were seen take {needed}", "ReserveForBursts")

    def taken(self, arrivals: Floats, bin_seconds: float, judged: int) -> int:
        """Return the instances that would have kept the last `judged` bins of these arrivals in time."""
        lone = pooled_state(self._engine, 1, 0.0, self._shape, TYPICAL_PERCENTILE)
        least = 0.0 if lone is None else WHAT_NO_POD_MENDS * lone.tpot_seconds
        slowest, wait = max(self._objectives.tpot_seconds, least), self._bearable_wait()

        def stands(replicas: int) -> bool:
            worst = replayed(self._engine, replicas, arrivals, bin_seconds, judged, self._shape)
            return worst.wait_seconds <= wait and worst.tpot_seconds <= slowest

        low, high, most = 0, 1, max(1, math.ceil(arrivals.sum()))
        while high < most and not stands(high):
            low, high = high, min(most, 2 * high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if stands(middle) else (middle, high)
        return high

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
