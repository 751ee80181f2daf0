"""Perfect foresight: the bound that no policy beats, and none can be.

It is told the true demand of the time ahead, so only a simulator can make one; it is in no registry that a
service's spec can name. It sizes by the same engine model as ours, so that what separates the two is knowing.
"""

import math
from dataclasses import dataclass

import numpy as np

from presage_policies.engine import RequestShape, replicas_for
from presage_policies.scaling.policy import Observation, Sizing
from presage_policies.scaling.signals import Bins, Floats

SMOOTH_SECONDS = 30.0  # demand is averaged over so long: shorter bursts are what queues are for
SLACK_SECONDS = 5.0  # a pod is there so long before it is needed


@dataclass(frozen=True, slots=True, eq=False)
class DemandTrack(Bins):
    """The true demand from time 0 on."""

    def rates(self, begin: float, end: float) -> Floats:
        """Return the smoothed requests/s of every bin between two times; zero beyond the last."""
        size = max(1, round(SMOOTH_SECONDS / self.bin_seconds))
        first, last = int(begin // self.bin_seconds), math.ceil(end / self.bin_seconds)
        wide = np.zeros(max(0, last - first) + size)
        low, high = first - size // 2, last - size // 2 + size
        source = self.requests[max(0, low) : max(0, min(high, len(self.requests)))]
        offset = max(0, -low)
        wide[offset : offset + len(source)] = source[: len(wide) - offset]
        return np.convolve(wide, np.ones(size), "valid")[: max(0, last - first)] / (size * self.bin_seconds)

    def shape(self, begin: float, end: float) -> RequestShape | None:
        """Return the mean lengths between two times; None without requests."""
        part = slice(int(begin // self.bin_seconds), math.ceil(end / self.bin_seconds))
        count = float(self.requests[part].sum())
        if count <= 0:
            return None
        prompt, output = self.prompt_tokens[part].sum() / count, self.output_tokens[part].sum() / count
        return RequestShape(max(1.0, float(prompt)), max(1.0, float(output)))


@dataclass(frozen=True, slots=True)
class ForesightState:
    """Nothing needs remembering: the time ahead is known."""


class Foresight:
    """Sizes for the true demand from now until a pod asked for at the next decision could serve."""

    name = "Foresight"

    def __init__(self, track: DemandTrack) -> None:
        self._track = track

    def initial(self) -> ForesightState:
        """Return the (empty) state."""
        return ForesightState()

    def size(self, state: ForesightState, observation: Observation) -> tuple[ForesightState, Sizing]:
        """Return the state and the replicas for the largest rate of the horizon."""
        current, engine, objectives = observation.current, observation.engine, observation.objectives
        begin, end = observation.now, observation.now + observation.horizon_seconds + SLACK_SECONDS
        if engine is None or objectives is None:
            return state, Sizing(
                current, "no engine profile or objectives", "CapacityUnknown", {}, hold_down=True
            )
        shape = self._track.shape(max(0.0, begin - observation.horizon_seconds), end)
        rates = self._track.rates(begin, end)
        if shape is None or len(rates) == 0:
            return state, Sizing(0, "nothing is coming", "DemandKnown", unguarded=True)
        rate = float(rates.max())
        replicas = replicas_for(engine, rate, shape, objectives)
        if replicas is None:
            return state, Sizing(
                current, f"{engine.name} cannot serve that shape", "CapacityUnknown", {}, hold_down=True
            )
        words = f"{rate:.2f} requests/s at most are coming and need {replicas}"
        return state, Sizing(replicas, words, "DemandKnown", {"requestsPerSecond": rate}, unguarded=True)
