"""The five coefficients by weighted least squares of the relative error, none of them a negative cost."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from presage_policies.engine import IterationCoefficients
from presage_policies.fitting.samples import Floats, Samples, predicted

FEWEST = 10  # samples: twice the unknowns


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients (seconds) and mean absolute relative errors: weighted, decode-only and with prefill."""

    coefficients: IterationCoefficients
    points: int
    error: float
    decode_error: float | None
    prefill_error: float | None

    @property
    def words(self) -> str:
        """The error as a profile states it."""
        parts = [
            f"{error:.1%} {kind}"
            for error, kind in ((self.decode_error, "decode only"), (self.prefill_error, "with prefill"))
            if error is not None
        ]
        return f"MAPE {self.error:.1%} weighted ({', '.join(parts)}) over {self.points} points"


def fit_coefficients(samples: Samples) -> Fit:
    """Fit c0..c4 to measured iterations. Raises ValueError when they are fewer than ten.

    Tokens of prefill and of decode cost c1 and c1 + c2; these two, c0, c3 and c4 are each zero or more. The
    least squares under that constraint are found exactly, over all sets of terms that may be positive.
    """
    if len(samples.seconds) < FEWEST:
        raise ValueError(
            f"{len(samples.seconds)} measured points lie within the engine's limits: {FEWEST} are needed; "
            "give more, or raise its KV capacity, sequences or token budget"
        )
    fixed, prefilled, decoded, kv, attention = _non_negative_squares(_costs(samples.terms), samples)
    coefficients = IterationCoefficients(fixed, prefilled, decoded - prefilled, kv, attention)
    return judged(coefficients, samples)


def judged(coefficients: IterationCoefficients, samples: Samples) -> Fit:
    """Return the errors of given coefficients on measured iterations."""
    errors = np.abs(predicted(coefficients, samples.terms) / samples.seconds - 1)
    decode = samples.decode_only
    return Fit(
        coefficients,
        len(errors),
        float(np.average(errors, weights=samples.weights)),
        float(np.average(errors[decode], weights=samples.weights[decode])) if decode.any() else None,
        float(np.average(errors[~decode], weights=samples.weights[~decode])) if not decode.all() else None,
    )


def _costs(terms: Floats) -> Floats:
    """Split tokens into those prefilled beyond one a sequence and the sequences, whose costs are separate."""
    costs = terms.copy()
    costs[:, 1] -= terms[:, 2]
    return costs


def _non_negative_squares(costs: Floats, samples: Samples) -> tuple[float, ...]:
    root = np.sqrt(samples.weights / samples.weights.sum())
    scaled = costs * (root / samples.seconds)[:, None]
    norms = np.linalg.norm(scaled, axis=0)
    norms[norms == 0] = 1.0
    scaled /= norms
    best, least = np.zeros(costs.shape[1]), np.inf
    others = range(1, costs.shape[1])
    for size in range(costs.shape[1]):
        for chosen in combinations(others, size):
            columns = [0, *chosen]  # an iteration always takes time
            part, *_ = np.linalg.lstsq(scaled[:, columns], root, rcond=None)
            missed = float(np.sum((scaled[:, columns] @ part - root) ** 2))
            if (part >= 0).all() and missed < least:
                best, least = np.zeros(costs.shape[1]), missed
                best[columns] = part
    return tuple(float(cost) for cost in best / norms)
