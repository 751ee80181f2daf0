"""What one instance has been seen to sustain: PreServe's capacity profile (arXiv 2504.03702)."""

import math
from dataclasses import dataclass
from typing import Self

from presage_policies.engine import sustainable_rates
from presage_policies.forecasting import TokenRates
from presage_policies.objectives import Objectives
from presage_policies.scaling.policy import InstanceSignal, Observation

CONFIDENCE = 2.0  # standard errors taken off a window's rate: short windows are lucky by chance (ours)
LENGTH_SPREAD = 1.0  # coefficient of variation of request lengths that the standard error assumes (ours)


@dataclass(frozen=True, slots=True)
class CapacityProfile:
    """Largest prompt, output and total rate (tokens/s) of one instance in windows that met the objectives.

    These are the paper's μp, μd and μt; zero = none seen yet. The paper wants every request of a window
    within its objectives; we want the share that the objectives' percentile names (ours).
    """

    prompt: float = 0.0
    output: float = 0.0
    total: float = 0.0

    def learned(
        self,
        instances: tuple[InstanceSignal, ...],
        objectives: Objectives | None,
        *,
        as_published: bool = False,
    ) -> Self:
        """Return the profile after a look at the last window of each instance.

        `as_published`: every request must have met its objectives, and rates are taken as they are.
        """
        share = 1.0 if objectives is None or as_published else objectives.percentile / 100
        profile = self
        for instance in instances:
            if instance.slo_met is not None and instance.slo_met >= share:
                profile = profile._with(instance, 0.0 if as_published else CONFIDENCE)
        return profile

    def _with(self, instance: InstanceSignal, confidence: float) -> Self:
        prompt, output, finished = instance.prompt_rate, instance.output_rate, instance.finished
        if prompt is None or output is None or finished is None or finished <= 0:
            return self
        if not (math.isfinite(prompt) and math.isfinite(output)):
            return self
        sure = 1 - confidence * math.sqrt((1 + LENGTH_SPREAD**2) / finished)
        return type(self)(
            max(self.prompt, sure * prompt),
            max(self.output, sure * output),
            max(self.total, sure * (prompt + output)),
        )

    def at_least(self, seed: TokenRates) -> Self:
        """Return the profile with the engine model's rates wherever nothing better was seen."""
        return type(self)(
            max(self.prompt, seed.prompt), max(self.output, seed.output), max(self.total, seed.total)
        )

    @property
    def known(self) -> bool:
        """Whether all three rates are."""
        return min(self.prompt, self.output, self.total) > 0

    def instances_for(self, demand: TokenRates) -> float:
        """Return the (fractional) instances that `demand` needs: max(P/μp, D/μd, (P+D)/μt)."""
        return max(demand.prompt / self.prompt, demand.output / self.output, demand.total / self.total)


def modelled_rates(observation: Observation) -> TokenRates | None:
    """Return what the engine model says one instance sustains at the recent mean lengths; None = unknown.

    Where not even a lone request can meet the objectives, throughput alone bounds the rates: no number
    of instances would help latency, but too few would lose requests.
    """
    prompt, output = observation.mean_prompt_tokens, observation.mean_output_tokens
    engine, objectives = observation.engine, observation.objectives
    if engine is None or objectives is None or not prompt or not output:
        return None
    rates = sustainable_rates(engine, prompt, output, objectives)
    if rates.total > 0:
        return rates
    unbounded = Objectives(math.inf, math.inf, objectives.percentile)
    rates = sustainable_rates(engine, prompt, output, unbounded)
    return rates if rates.total > 0 else None
