"""Writes the days before the replay as the counters that sidecars would have exported.

Prometheus cannot wait four days for history, not even compressed ones. promtool turns an
OpenMetrics file into blocks, so Prometheus starts with the days before the slice, on the replay's
clock: a day of the trace takes `plan.day_seconds`, rates are those that the replay would have sent.
Both services get the same series. The replayed windows themselves are never written.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from presage_cli.demo.plan import Plan
from presage_cli.demo.schedule import request_rates
from presage_cli.demo.traces import Shape

STEP_SECONDS = 1.0  # as often as the demo's Prometheus scrapes


def history_lines(shape: Shape, plan: Plan, starts_at: float, until: float) -> Iterator[str]:
    """Yield OpenMetrics lines, ending with `# EOF`.

    `starts_at` is the wall-clock second at which the first window that counts begins; `until` the one
    at which history must end (not later than the start of the replayed windows, warm-up included).
    """
    times, requests = _running_total(shape, plan, starts_at, until)
    for family, labels, per_request in _families(plan):
        yield f"# TYPE {family} counter"
        for service in plan.service_names:
            name = f'{family}_total{{namespace="{plan.namespace}",service="{service}",pod="history"{labels}}}'
            for t, total in zip(times, requests * per_request, strict=True):
                yield f"{name} {total:.3f} {t:.3f}"
    yield "# EOF"


def _families(plan: Plan) -> Iterator[tuple[str, str, float]]:
    """Name each counter (without `_total`), its further labels, and what one request adds to it."""
    yield "presage_router_prompt_tokens", "", plan.mean_prompt_tokens
    yield "presage_router_served_prompt_tokens", "", plan.mean_prompt_tokens
    yield "presage_router_predicted_output_tokens", "", plan.mean_output_tokens
    yield "presage_router_output_tokens", "", plan.mean_output_tokens
    yield "presage_router_requests", ',outcome="ok"', 1.0


def _running_total(
    shape: Shape, plan: Plan, starts_at: float, until: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Instants (s) and requests so far at each, both of shape (instants,)."""
    edges = starts_at + (np.arange(len(shape.requests_per_minute) + 1) - plan.trace.first_window) * (
        plan.window_seconds
    )
    totals = np.concatenate([[0.0], np.cumsum(request_rates(shape, plan) * plan.window_seconds)])
    end = min(until, starts_at - plan.lead_seconds)
    times = np.arange(edges[0], end, STEP_SECONDS)
    return times, np.interp(times, edges, totals)
