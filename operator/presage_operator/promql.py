"""Every question that the operator asks Prometheus, in one place.

Metric names are those of the sidecars (docs/architecture.md, "Sidecar metrics"). All are functions
from a service to PromQL, so that a test can put each of them to a real Prometheus.
"""

from __future__ import annotations

from dataclasses import dataclass

PROMPT_ARRIVED = "presage_router_prompt_tokens_total"
OUTPUT_PREDICTED = "presage_router_predicted_output_tokens_total"
OUTPUT_STREAMED = "presage_router_output_tokens_total"
PROMPT_SERVED = "presage_router_served_prompt_tokens_total"
SLO_REQUESTS = "presage_router_slo_requests_total"
REQUESTS = "presage_router_requests_total"

GAUGES = {
    "presage_router_kv_usage": "kv_usage",
    "presage_router_anticipated_overload": "overload",
    "presage_router_anticipated_peak": "peak",
    "presage_router_inflight_requests": "requests",
    "presage_router_waiting_requests": "waiting",
    "presage_router_engine_ready": "engine_ready",
}


@dataclass(frozen=True)
class ServiceSelector:
    """The series of one service."""

    namespace: str
    service: str

    @property
    def labels(self) -> str:
        """Label matchers without braces."""
        return f'namespace="{_escaped(self.namespace)}",service="{_escaped(self.service)}"'


def token_rate(selector: ServiceSelector, counter: str, seconds: int) -> str:
    """Tokens per second of the whole service over the last `seconds`; no answer where no sample is."""
    return f"sum(rate({counter}{{{selector.labels}}}[{seconds}s]))"


def newest_sample(selector: ServiceSelector) -> str:
    """Unix time of the newest sample of the service, looking back an hour for a service gone silent."""
    series = f"{PROMPT_ARRIVED}{{{selector.labels}}}"
    return f"max(timestamp({series})) or max(max_over_time(timestamp({series})[1h:30s]))"


def pod_gauges(selector: ServiceSelector) -> str:
    """Each sidecar's gauges, by metric name and pod."""
    names = "|".join(GAUGES)
    return f'{{__name__=~"{names}",{selector.labels}}}'


def pod_rates(selector: ServiceSelector, seconds: int) -> str:
    """Token rates and finished requests of each pod over the last `seconds`.

    Served prompt and output tokens per second; requests by whether they met every objective. The
    label `signal` tells which; a rate has no name of its own.
    """
    met, missed = (f'{SLO_REQUESTS}{{met="{met}",{selector.labels}}}' for met in ("true", "false"))
    return _labelled(
        {
            "prompt_rate": f"sum by (pod) (rate({PROMPT_SERVED}{{{selector.labels}}}[{seconds}s]))",
            "output_rate": f"sum by (pod) (rate({OUTPUT_STREAMED}{{{selector.labels}}}[{seconds}s]))",
            "met": f"sum by (pod) (increase({met}[{seconds}s]))",
            "missed": f"sum by (pod) (increase({missed}[{seconds}s]))",
        }
    )


def mean_lengths(selector: ServiceSelector, seconds: int) -> str:
    """Mean prompt and output tokens of the requests of the last `seconds`; no answer without requests."""
    labels = selector.labels
    asked = f"sum(increase({REQUESTS}{{{labels}}}[{seconds}s]))"
    served = f'sum(increase({REQUESTS}{{outcome!="rejected",{labels}}}[{seconds}s]))'
    return _labelled(
        {
            "prompt": f"sum(increase({PROMPT_ARRIVED}{{{labels}}}[{seconds}s])) / ({asked} > 0)",
            "output": f"sum(increase({OUTPUT_STREAMED}{{{labels}}}[{seconds}s])) / ({served} > 0)",
        }
    )


def _labelled(wanted: dict[str, str]) -> str:
    """Join several queries into one; the label `signal` tells the answers apart."""
    return " or ".join(
        f'label_replace({query}, "signal", "{signal}", "", "")' for signal, query in wanted.items()
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
