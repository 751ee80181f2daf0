"""What became of every request, and the figures made of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presage_simulator.workload import SLOClass, Workload

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]

MILLISECONDS = 1000.0
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True, eq=False)
class IterationsOutcome:
    """Arrays over requests: times (s, on the workload's clock), marks and counts; and totals.

    `late`: some token after the first came later than its class's deadline plus pace allows; `kv_peak` is
    the largest share of a KV cache that was ever taken.
    """

    workload: Workload
    replicas: int
    first_token: Floats
    finished: Floats
    late: Flags
    relegated: Flags
    preempted: Ints
    replica: Ints
    iterations: int
    busy_seconds: float
    kv_peak: float

    @property
    def ttft(self) -> Floats:
        """Seconds to the first token."""
        return self.first_token - self.workload.at

    @property
    def ttlt(self) -> Floats:
        """Seconds to the last token."""
        return self.finished - self.workload.at

    @property
    def violated(self) -> Flags:
        """Whose TTFT (interactive) or time to the last token (batch) was beyond the class's objective.

        It is the paper's figure: its scripts do not look at tokens between (`late` does).
        """
        beyond = np.zeros(len(self.workload), dtype=np.bool_)
        for index, klass in enumerate(self.workload.classes):
            here = self.workload.klass == index
            seconds = self.ttft if klass.deadline_seconds is None else self.ttlt
            beyond[here] = seconds[here] > (klass.deadline_seconds or klass.objectives.ttft_seconds)
        return beyond

    def violations_of(self, index: int) -> float:
        """Return the share of a class's requests that violated its objective."""
        here = self.workload.klass == index
        return float(self.violated[here].mean()) if here.any() else 0.0

    def worst_class(self) -> float:
        """Return the largest share of violations of any class, which the paper's goodput is bounded by."""
        return max(self.violations_of(index) for index in range(len(self.workload.classes)))

    def metrics(self) -> dict[str, float | None]:
        """Return the figures by name: shares, seconds, milliseconds (`_ms`), requests a second."""
        tokens = np.maximum(1, self.workload.output_tokens - 1)
        tpot = (self.finished - self.first_token) / tokens
        span = float(self.workload.at[-1]) if len(self.workload) else 0.0
        met = ~(self.violated | self.late)
        figures: dict[str, float | None] = {
            "requests": float(len(self.workload)),
            "mean_replicas": float(self.replicas),
            "violations": float(self.violated.mean()),
            "violations_worst_class": self.worst_class(),
            "violations_with_tbt": float((~met).mean()),
            "goodput": float(met.sum()) / span if span else None,
            "relegated": float(self.relegated.mean()),
            "preemptions": float(self.preempted.sum()),
            "kv_peak": self.kv_peak,
            "utilisation": self.busy_seconds / (self.replicas * float(self.finished.max())),
            "iterations": float(self.iterations),
        }
        for percent in PERCENTILES:
            figures[f"tpot_p{percent}_ms"] = float(np.percentile(tpot, percent)) * MILLISECONDS
        for index, klass in enumerate(self.workload.classes):
            figures |= self._metrics_of(index, klass)
        return figures

    def _metrics_of(self, index: int, klass: SLOClass) -> dict[str, float | None]:
        here = self.workload.klass == index
        figures: dict[str, float | None] = {f"violations_{klass.name}": self.violations_of(index)}
        if here.any():
            for percent in PERCENTILES:
                for name, seconds in (("ttft", self.ttft), ("ttlt", self.ttlt)):
                    value = float(np.percentile(seconds[here], percent)) * MILLISECONDS
                    figures[f"{name}_p{percent}_ms_{klass.name}"] = value
        return figures
