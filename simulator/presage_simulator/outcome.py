"""What a replay brought: every request's fate, every change of replicas, and the figures made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from presage_policies.objectives import Objectives


@dataclass(frozen=True, slots=True)
class Served:
    """One request's fate; times in virtual seconds, None = never. `instance` None = turned away."""

    request_id: str
    arrived: float
    prompt_tokens: int
    output_tokens: int
    instance: str | None = None
    first_token: float | None = None
    finished: float | None = None

    @property
    def ttft(self) -> float | None:
        """Seconds from arrival to the first token."""
        return None if self.first_token is None else self.first_token - self.arrived

    @property
    def tpot(self) -> float | None:
        """Seconds per token after the first; None for one-token answers and unfinished ones."""
        if self.first_token is None or self.finished is None or self.output_tokens < 2:  # noqa: PLR2004 - a second token
            return None
        return (self.finished - self.first_token) / (self.output_tokens - 1)

    def met(self, objectives: Objectives) -> bool:
        """Tell whether it finished within its objectives; who was turned away did not."""
        return self.finished is not None and self.ttft is not None and objectives.met_by(self.ttft, self.tpot)


@dataclass(frozen=True, slots=True)
class Replicas:
    """Pods at a time: asked for, and ready."""

    at: float
    current: int
    ready: int
    code: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole replay."""

    served: tuple[Served, ...]
    replicas: tuple[Replicas, ...]
    replica_seconds: float
    preemptions: int
    ended_at: float

    def attainment(self, objectives: Objectives) -> float:
        """Return the share of all requests that met every objective."""
        return sum(s.met(objectives) for s in self.served) / max(1, len(self.served))

    def percentile(self, values: Sequence[float | None], percent: float) -> float:
        """Return a percentile of the present values (seconds); NaN without any."""
        present = [value for value in values if value is not None]
        return float(np.percentile(present, percent)) if present else float("nan")

    def ttft(self, percent: float) -> float:
        """Return a percentile of TTFT, seconds."""
        return self.percentile([s.ttft for s in self.served], percent)

    def tpot(self, percent: float) -> float:
        """Return a percentile of TPOT, seconds."""
        return self.percentile([s.tpot for s in self.served], percent)
