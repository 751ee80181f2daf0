"""Measured iterations in the terms of the time model: what any kind of table becomes before its fit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presage_policies.engine import IterationCoefficients

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Iterations and the seconds that they took.

    `terms` has shape [n, 5]: iterations (1), tokens T, sequences B, Σkv, Σ chunk·(kv + chunk/2); a row may
    be a mean over several iterations, so that the terms need not be whole. `seconds` and `weights` have
    shape [n]; the weights say how often such an iteration occurs and need not sum to one.
    """

    terms: Floats
    seconds: Floats
    weights: Floats

    def __post_init__(self) -> None:
        if self.terms.ndim != 2 or self.terms.shape[1] != 5:  # noqa: PLR2004 - the five terms
            raise ValueError(f"terms have shape {self.terms.shape}: give rows of 5")
        if self.seconds.shape != (len(self.terms),) or self.weights.shape != (len(self.terms),):
            raise ValueError(
                f"{len(self.terms)} rows of terms have {self.seconds.shape} seconds and "
                f"{self.weights.shape} weights: give one of each a row"
            )
        if not (
            np.isfinite(self.terms).all() and np.isfinite(self.seconds).all() and (self.seconds > 0).all()
        ):
            raise ValueError("a measured time is not a positive number of seconds: take the row out")

    @property
    def decode_only(self) -> NDArray[np.bool_]:
        """Which rows prefill nothing; shape [n]."""
        return self.terms[:, 1] <= self.terms[:, 2]

    def where(self, kept: NDArray[np.bool_]) -> "Samples":
        """Return the rows that are kept."""
        return Samples(self.terms[kept], self.seconds[kept], self.weights[kept])


def iteration_terms(chunk: Floats, context: Floats, decodes: Floats, kv_each: Floats) -> Floats:
    """Return the terms of iterations of one prefill chunk (0: none) beside equal decodes; shape [n, 5]."""
    return np.stack(
        [
            np.ones_like(chunk),
            chunk + decodes,
            decodes + (chunk > 0),
            decodes * kv_each,
            chunk * (context + chunk / 2),
        ],
        axis=1,
    )


def predicted(c: IterationCoefficients, terms: Floats) -> Floats:
    """Return the seconds that the time model gives for rows of terms; shape [n]."""
    line = (c.fixed, c.per_token, c.per_sequence, c.per_kv_token, c.per_prefill_attention)
    return np.asarray(terms @ np.array(line), dtype=float)
