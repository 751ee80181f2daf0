"""Turns records and the timeline into `result.json`: the same figures for both services.

Every figure is over the part that counts: requests whose scheduled instant lies in it, pods within
it. Percentiles are over completed requests, by the nearest-rank method.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from presage_simulator.pool_figures import ScaleUp, share_in_time

from presage_cli.demo.plan import ObjectivesPlan, Plan
from presage_cli.demo.records import Outcome, RequestRecord
from presage_cli.demo.scaleups import Load, find_scale_ups
from presage_cli.demo.timeline import ServiceTimeline, Timeline


@dataclass(frozen=True)
class Run:
    """One finished run: what was planned, what was offered, what clients saw, what the cluster did."""

    plan: Plan
    starts_at: float
    offered_tokens_per_second: tuple[float, ...]
    records: tuple[RequestRecord, ...]
    timeline: Timeline
    sent_late_p99_ms: float
    sent_late_max_ms: float

    @property
    def ends_at(self) -> float:
        """Wall-clock second at which the part that counts ended."""
        return self.starts_at + self.plan.replay_seconds

    @property
    def load(self) -> Load:
        """The offered load, window by window."""
        return Load(self.starts_at, self.plan.window_seconds, np.array(self.offered_tokens_per_second))

    def records_of(self, service: str) -> list[RequestRecord]:
        """Return the records of one service that count, without the warm-up."""
        return [record for record in self.records if record.service == service and record.at >= 0]

    def scale_ups_of(self, service: str) -> list[ScaleUp]:
        """Return the scale-ups of one service within the part that counts."""
        line = self.timeline.services[service]
        return find_scale_ups(line, self.load, self.plan.capacity.total, self.starts_at, self.ends_at)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Nearest-rank percentile; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else None


def meets(record: RequestRecord, objectives: ObjectivesPlan) -> bool:
    """Tell whether a request completed within both objectives (one chunk of tokens has no TPOT: met)."""
    return (
        record.outcome is Outcome.COMPLETED
        and record.ttft_ms is not None
        and record.ttft_ms <= objectives.ttft_milliseconds
        and (record.tpot_ms is None or record.tpot_ms <= objectives.tpot_milliseconds)
    )


def attainment(records: Sequence[RequestRecord], objectives: ObjectivesPlan) -> float | None:
    """Share of all requests, failed and lost ones included, that met both objectives."""
    return sum(meets(record, objectives) for record in records) / len(records) if records else None


def service_result(run: Run, service: str) -> dict[str, Any]:
    """Return the figures of one service."""
    records, line = run.records_of(service), run.timeline.services[service]
    completed = [record for record in records if record.outcome is Outcome.COMPLETED]
    ups = run.scale_ups_of(service)
    tpots = [record.tpot_ms for record in completed if record.tpot_ms is not None]
    ttfts = [record.ttft_ms for record in completed if record.ttft_ms is not None]
    return {
        "requests": len(records),
        "failed": sum(record.outcome is Outcome.FAILED for record in records),
        "lost": sum(record.outcome is Outcome.LOST for record in records),
        "ttft_p50_ms": percentile(ttfts, 50),
        "ttft_p99_ms": percentile(ttfts, 99),
        "tpot_p99_ms": percentile(tpots, 99),
        "e2e_p99_ms": percentile([record.e2e_ms for record in completed if record.e2e_ms is not None], 99),
        "slo_attainment": _rounded(attainment(records, run.plan.objectives)),
        "replica_seconds": round(line.replica_seconds(run.starts_at, run.ends_at), 1),
        "peak_replicas": line.peak_replicas(run.starts_at, run.ends_at),
        "scale_ups": len(ups),
        "ready_before_needed": _rounded(share_in_time(ups)),
        "forecast_wape": None if line.accuracy is None else line.accuracy[0],
        "forecast_coverage90": None if line.accuracy is None else line.accuracy[1],
        "length_mae": _length_mae(completed),
        "length_coverage90": _length_coverage(completed),
        "time_scale": run.plan.trace.scale,
        "trace": run.plan.trace.name,
        "scale_up_details": [_detail(up, run.starts_at) for up in ups],
        "cold_start_seconds": _cold_starts(line),
    }


def result_document(run: Run) -> dict[str, Any]:
    """Return the whole `result.json`."""
    return {
        **{name: service_result(run, name) for name in run.plan.service_names},
        "time_scale": run.plan.trace.scale,
        "trace": run.plan.trace.name,
        "load_generator": {
            "sent_late_p99_ms": run.sent_late_p99_ms,
            "sent_late_max_ms": run.sent_late_max_ms,
        },
        "definitions": definitions(run.plan),
        "plan": run.plan.model_dump(mode="json"),
    }


def definitions(plan: Plan) -> dict[str, str]:
    """Say what each figure means, with this run's numbers."""
    objectives, capacity = plan.objectives, plan.capacity
    return {
        "requests": "scheduled within the part that counts; both services get the same at the same instants",
        "failed": "not accepted with 200, or ended by an error event",
        "lost": "accepted with 200, then neither completed nor ended by an error event",
        "ttft_*": "scheduled instant to first text at the client, completed requests, nearest rank",
        "tpot_*": "first to last text divided by the tokens after the first chunk",
        "e2e_*": "scheduled instant to end of stream, completed requests",
        "slo_attainment": f"share of all requests completed with TTFT <= {objectives.ttft_milliseconds} ms "
        f"and TPOT <= {objectives.tpot_milliseconds} ms, the API's defaults",
        "replica_seconds": "pods from creation to deletion within the part that counts, cold start included",
        "peak_replicas": "most pods that existed at one instant",
        "scale_ups": "increases of the replicas that the Deployment asks for",
        "ready_before_needed": "share of scale-ups n to m with m pods ready before the arriving tokens/s of a"
        f" {plan.window_seconds:g} s window first exceeded n x {capacity.total:.0f}, what n instances"
        " sustain by the engine model; one whose former capacity was never exceeded counts as ready in time"
        " (replica_seconds shows its price); null without any scale-up",
        "forecast_*": "the operator's own live figures at the end of the run, of the forecasts made a horizon"
        " ahead: sum of absolute errors over the sum of load, and share within the 90 % quantile; null where"
        " the policy does not forecast",
        "length_*": "answers' tokens against what the front that took the request expected: mean absolute"
        " error of the median, and share within the 90 % interval (5 % to 95 %); completed requests",
        "time_scale": f"{plan.trace.scale:g} seconds of the trace pass in one second; engines, cold starts"
        " and single requests run in real time, so against the trace's day a pod's start is that much"
        " longer than in production; it is so for both services",
    }


def verdict(document: dict[str, Any], plan: Plan) -> list[str]:
    """Say what the run should have shown and did not; empty when all is as it should be."""
    predictive, reactive = (document[name] for name in plan.service_names)
    names = plan.service_names
    faults = [
        f"{name} lost {document[name]['lost']} accepted requests" for name in names if document[name]["lost"]
    ]
    faults += [f"{name} was sent no request" for name in names if not document[name]["requests"]]
    if not (predictive["slo_attainment"] or 0) > (reactive["slo_attainment"] or 0):
        attained = f"{predictive['slo_attainment']} against {reactive['slo_attainment']}"
        if not plan.is_ablation:
            faults.append(f"{names[0]} did not attain more than {names[1]}: {attained}")
        elif predictive["replica_seconds"] >= reactive["replica_seconds"]:
            faults.append(
                f"{names[0]} neither attained more than {names[1]} ({attained}) nor cost less: "
                f"{predictive['replica_seconds']} against {reactive['replica_seconds']} replica-seconds"
            )
    if (predictive["ready_before_needed"] or 0) < READY_SHARE:
        faults.append(
            f"ready_before_needed of {names[0]} is {predictive['ready_before_needed']}, under {READY_SHARE}"
        )
    return faults


READY_SHARE = 0.8


def _length_mae(records: Sequence[RequestRecord]) -> float | None:
    errors = [abs(r.output_tokens - r.predicted.p50) for r in records if r.predicted is not None]
    return round(float(np.mean(errors)), 1) if errors else None


def _length_coverage(records: Sequence[RequestRecord]) -> float | None:
    within = [
        r.predicted.p05 <= r.output_tokens <= r.predicted.p95 for r in records if r.predicted is not None
    ]
    return _rounded(sum(within) / len(within)) if within else None


def _detail(up: ScaleUp, start: float) -> dict[str, Any]:
    return {
        "at_seconds": round(up.at - start, 1),
        "from": up.before,
        "to": up.after,
        "ready_seconds": None if up.ready is None else round(up.ready - start, 1),
        "needed_seconds": None if up.needed is None else round(up.needed - start, 1),
        "in_time": up.in_time,
    }


def _cold_starts(line: ServiceTimeline) -> list[float]:
    return [round(pod.ready - pod.created, 1) for pod in line.pods.values() if pod.ready is not None]


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
