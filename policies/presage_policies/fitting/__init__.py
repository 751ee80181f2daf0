"""Fitting the iteration-time model to measurements: arrays in, coefficients and their error out."""

from presage_policies.fitting.layers import (
    PER_ITERATION,
    PER_LAYER,
    Fit,
    KernelTables,
    fit_iteration_time,
)

__all__ = ["PER_ITERATION", "PER_LAYER", "Fit", "KernelTables", "fit_iteration_time"]
