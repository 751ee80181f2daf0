"""The engine model: how long an iteration takes, what a scheduler puts into it, what an instance sustains."""

from presage_policies.engine.batch import Batch, EngineRequest, Iteration, Scheduled, Sequence, StepResult
from presage_policies.engine.sustained import SteadyState, steady_state, sustainable_rates
from presage_policies.engine.timing import (
    BatchShape,
    EngineProfile,
    IterationCoefficients,
    decode_seconds,
    iteration_seconds,
    prefill_seconds,
)

__all__ = [
    "Batch",
    "BatchShape",
    "EngineProfile",
    "EngineRequest",
    "Iteration",
    "IterationCoefficients",
    "Scheduled",
    "Sequence",
    "SteadyState",
    "StepResult",
    "decode_seconds",
    "iteration_seconds",
    "prefill_seconds",
    "steady_state",
    "sustainable_rates",
]
