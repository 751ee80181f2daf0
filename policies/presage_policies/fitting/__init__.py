"""Fitting the iteration-time model to measurements: arrays in, coefficients and their error out."""

from presage_policies.fitting.architecture import (
    KV_BYTES,
    WEIGHT_BYTES,
    Architecture,
    architecture_from,
    architecture_of,
    kv_capacity,
)
from presage_policies.fitting.end_to_end import ClosedLoop, Overhead, StaticBatches, overhead, together
from presage_policies.fitting.layers import AllReduce, KernelTables, layer_samples
from presage_policies.fitting.limits import EngineLimits
from presage_policies.fitting.linear import Fit, fit_coefficients, judged
from presage_policies.fitting.operations import OperationTables, operation_samples
from presage_policies.fitting.samples import Floats, Samples, iteration_terms, predicted

__all__ = [
    "KV_BYTES",
    "WEIGHT_BYTES",
    "AllReduce",
    "Architecture",
    "ClosedLoop",
    "EngineLimits",
    "Fit",
    "Floats",
    "KernelTables",
    "OperationTables",
    "Overhead",
    "Samples",
    "StaticBatches",
    "architecture_from",
    "architecture_of",
    "fit_coefficients",
    "iteration_terms",
    "judged",
    "kv_capacity",
    "layer_samples",
    "operation_samples",
    "overhead",
    "predicted",
    "together",
]
