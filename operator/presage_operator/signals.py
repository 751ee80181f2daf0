"""What each sidecar says of its instance, read from Prometheus' answers; absent stays absent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presage_operator.prometheus import finite
from presage_operator.promql import GAUGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from presage_operator.prometheus import Sample


@dataclass(frozen=True)
class PodSignals:
    """The last values of one pod; None = no sample, or one that is no number."""

    kv_usage: float | None = None  # fraction of the KV cache
    overload: float | None = None  # share of the look-ahead above the limit
    peak: float | None = None  # highest anticipated KV use, fraction
    requests: float | None = None  # in flight at the guard
    waiting: float | None = None  # waiting at the front
    engine_ready: float | None = None  # 1 or 0
    prompt_rate: float | None = None  # served prompt tokens per second
    output_rate: float | None = None  # streamed output tokens per second
    finished: float | None = None  # requests that finished lately
    slo_met: float | None = None  # share of them that met every objective


def pod_signals(gauges: Iterable[Sample], rates: Iterable[Sample]) -> dict[str, PodSignals]:
    """Group samples by pod; series without the label `pod` belong to nobody and are left out."""
    found: dict[str, dict[str, float | None]] = defaultdict(dict)
    for sample in gauges:
        _note(found, sample, GAUGES.get(sample.labels.get("__name__", "")))
    for sample in rates:
        _note(found, sample, sample.labels.get("signal"))
    return {pod: _signals(values) for pod, values in found.items()}


def waiting_requests(signals: Mapping[str, PodSignals]) -> float | None:
    """Return requests waiting at all fronts together; None when no front tells."""
    told = [each.waiting for each in signals.values() if each.waiting is not None]
    return sum(told) if told else None


def _note(found: dict[str, dict[str, float | None]], sample: Sample, signal: str | None) -> None:
    pod = sample.labels.get("pod")
    if pod and signal:
        found[pod][signal] = finite(sample.value)


def _signals(values: Mapping[str, float | None]) -> PodSignals:
    met, missed = values.get("met"), values.get("missed")
    finished = None if met is None and missed is None else (met or 0.0) + (missed or 0.0)
    return PodSignals(
        kv_usage=values.get("kv_usage"),
        overload=values.get("overload"),
        peak=values.get("peak"),
        requests=values.get("requests"),
        waiting=values.get("waiting"),
        engine_ready=values.get("engine_ready"),
        prompt_rate=values.get("prompt_rate"),
        output_rate=values.get("output_rate"),
        finished=finished,
        slo_met=(met or 0.0) / finished if finished else None,
    )
