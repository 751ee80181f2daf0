"""The engine model: how long an iteration takes, what a scheduler puts into it, what an instance sustains."""

from presage_policies.engine.batch import Batch, EngineRequest, Iteration, Scheduled, Sequence, StepResult
from presage_policies.engine.pooled import (
    PooledState,
    RequestShape,
    decode_step,
    pooled_state,
    prefill_work,
    replicas_for,
    slots_of,
    sustained_rate,
)
from presage_policies.engine.replay import Served, serve_alone
from presage_policies.engine.sustained import SteadyState, steady_state, sustainable_rates
from presage_policies.engine.timing import (
    BatchShape,
    EngineProfile,
    IterationCoefficients,
    decode_seconds,
    iteration_seconds,
    prefill_seconds,
)
from presage_policies.engine.transient import Surge, replayed, surge

__all__ = [
    "Batch",
    "BatchShape",
    "EngineProfile",
    "EngineRequest",
    "Iteration",
    "IterationCoefficients",
    "PooledState",
    "RequestShape",
    "Scheduled",
    "Sequence",
    "Served",
    "SteadyState",
    "StepResult",
    "Surge",
    "decode_seconds",
    "decode_step",
    "iteration_seconds",
    "pooled_state",
    "prefill_seconds",
    "prefill_work",
    "replayed",
    "replicas_for",
    "serve_alone",
    "slots_of",
    "steady_state",
    "surge",
    "sustainable_rates",
    "sustained_rate",
]
