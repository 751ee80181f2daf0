"""Means over seeds with their confidence intervals, and paired differences, by Student's t.

Every system meets the same requests under a seed, so differences are taken seed by seed: what chance does
to all systems alike falls out of them (common random numbers).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95
DIGITS = 6  # significant digits of every figure that is written out
BISECTIONS = 60

Metrics = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its 95 % confidence interval; None = undefined.

    `half_width` is None with fewer than two values: one run says nothing about chance.
    """

    mean: float | None
    half_width: float | None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Estimate":
        """Estimate from one value a seed; values that are undefined are left out."""
        present = [value for value in values if value is not None and math.isfinite(value)]
        if not present:
            return cls(None, None)
        mean = math.fsum(present) / len(present)
        if len(present) == 1:
            return cls(mean, None)
        variance = math.fsum((value - mean) ** 2 for value in present) / (len(present) - 1)
        return cls(mean, student_t(len(present) - 1) * math.sqrt(variance / len(present)))

    def as_json(self) -> dict[str, Any]:
        """Return `{"mean": …, "ci95": [low, high]}`, null where undefined, to `DIGITS` significant digits."""
        if self.mean is None:
            return {"mean": None, "ci95": [None, None]}
        if self.half_width is None:
            return {"mean": rounded(self.mean), "ci95": [None, None]}
        bounds = (self.mean - self.half_width, self.mean + self.half_width)
        return {"mean": rounded(self.mean), "ci95": [rounded(bound) for bound in bounds]}


def estimates(runs: Sequence[Metrics]) -> dict[str, Estimate]:
    """Return an estimate of every metric from one mapping a seed."""
    names = sorted({name for run in runs for name in run})
    return {name: Estimate.of([run.get(name) for run in runs]) for name in names}


def paired(runs: Sequence[Metrics], baseline: Sequence[Metrics]) -> dict[str, dict[str, Estimate]]:
    """Return the differences from a baseline, seed by seed: absolute, and relative to the baseline."""
    differences: dict[str, dict[str, Estimate]] = {}
    for name in sorted({name for run in runs for name in run}):
        pairs = [(run.get(name), base.get(name)) for run, base in zip(runs, baseline, strict=True)]
        both = [(own, other) for own, other in pairs if own is not None and other is not None]
        differences[name] = {
            "difference": Estimate.of([own - other for own, other in both]),
            "relative": Estimate.of([(own - other) / abs(other) for own, other in both if other]),
        }
    return differences


def written(document: Mapping[str, Any]) -> str:
    """Return a result's text: keys sorted, the same bytes for the same document."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def rounded(value: float) -> float:
    """Return the value to `DIGITS` significant digits: enough for any use, too few for noise of summation."""
    return float(f"{value:.{DIGITS}g}")


def student_t(degrees: int) -> float:
    """Return the quantile of Student's t that bounds the central 95 % with so many degrees of freedom."""
    low, high = 0.0, 13.0  # 12.706 at one degree is the largest
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _central(middle, degrees) < CONFIDENCE else (low, middle)
    return high


def _central(t: float, degrees: int) -> float:
    """Return P(|T| <= t), exact for whole degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    first = degrees % 2
    term = cosine if first else 1.0
    total = 0.0
    for k in range(first + 2, degrees + 1, 2):
        total += term
        term *= cosine**2 * (k - 1) / k
    return 2 / math.pi * (angle + sine * total) if first else sine * total
