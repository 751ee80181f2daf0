"""The sidecar's metrics, exactly as docs/architecture.md lists them.

Each sidecar has a registry of its own, so that several live in one process (tests, gateways). Every
child series is made at the start: a counter that exists with value 0 is a fact, an absent one a riddle.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

OUTCOMES = ("ok", "error", "rejected", "cancelled")
TIERS = ("text", "history", "prior")
BID_RESULTS = ("ok", "refused", "failed", "late")
_LABELS = ("service", "namespace")
_TTFT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 40, 80)
_TPOT = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.35, 0.5, 1, 2)
_E2E = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
_QUEUE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 60, 120)
_LENGTHS = (1, 8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384, 32768)
_ERROR_TOKENS = (-1000, -500, -250, -100, -50, -20, 0, 20, 50, 100, 250, 500, 1000)

Labels = dict[str, str]


class Metrics:
    """All series of one sidecar; each attribute is the one child (or children) with our labels."""

    def __init__(self, service: str, namespace: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self.registry = CollectorRegistry()
        self._own: Labels = {"service": service, "namespace": namespace}
        self.requests = self._counters("requests", "Requests that ended at this front.", "outcome", OUTCOMES)
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens on arrival at this front.")
        self.predicted_output_tokens = self._counter(
            "predicted_output_tokens", "Output tokens predicted on arrival at this front."
        )
        self.output_tokens = self._counter(
            "output_tokens", "Output tokens as this guard's engine streams them."
        )
        self.served_prompt_tokens = self._counter(
            "served_prompt_tokens", "Prompt tokens this guard's engine read."
        )
        self.slo_requests = self._counters(
            "slo_requests",
            "Requests this guard finished, by whether they met every objective.",
            "met",
            ("true", "false"),
        )
        self.bids = self._counters("bids", "Bids this front asked for, by result.", "result", BID_RESULTS)
        self.retries = self._counter(
            "retries", "Requests this front moved to another peer before the first byte."
        )
        self.predictor_failures = self._counter(
            "predictor_failures", "Length predictions that failed; something simpler served."
        )
        self.predictions = self._counters(
            "predictions", "Length predictions, each shared among tiers by their weights.", "tier", TIERS
        )
        self.length_weights = Gauge(
            "presage_router_length_weights",
            "1 for the trained weights that predict lengths.",
            (*_LABELS, "version"),
            registry=self.registry,
        )
        self.length_weights_written = Gauge(
            "presage_router_length_weights_written_timestamp_seconds",
            "When the file of these weights was written; those of the package have no series.",
            (*_LABELS, "version"),
            registry=self.registry,
        )
        self.predictor_late = self._counter(
            "predictor_late", "Length predictions that missed their deadline; history served."
        )
        self.lengths_within = self._counters(
            "predicted_lengths",
            "Finished requests, by whether the length lay within its predicted 90 % interval.",
            "within",
            ("true", "false"),
        )
        self.config_failures = self._counter(
            "config_failures", "Configuration files that were refused on reload."
        )
        self.ttft = self._histogram(
            "ttft_seconds", "Arrival at this front to the first byte to the client.", _TTFT
        )
        self.tpot = self._histogram("tpot_seconds", "Mean time per output token after the first.", _TPOT)
        self.e2e = self._histogram(
            "e2e_seconds", "Arrival at this front to the last byte to the client.", _E2E
        )
        self.queue = self._histogram("queue_seconds", "Time a request waited at this front for room.", _QUEUE)
        self.request_prompt_tokens = self._histogram(
            "request_prompt_tokens", "Prompt tokens of an answered request.", _LENGTHS
        )
        self.request_output_tokens = self._histogram(
            "request_output_tokens", "Output tokens of an answered request.", _LENGTHS
        )
        self.absolute_length_error = self._counter(
            "predicted_length_absolute_error_tokens",
            "Sum over answered requests of the distance of the predicted median from actual output tokens.",
        )
        self.length_error = self._histogram(
            "predicted_length_error_tokens", "Predicted (mean) less actual output tokens.", _ERROR_TOKENS
        )

    def show_weights(self, version: str, written: float | None) -> None:
        """Show which trained weights predict lengths; `written` in Unix seconds, None for the package's."""
        self.length_weights.labels(**self._own, version=version).set(1)
        if written is not None:
            self.length_weights_written.labels(**self._own, version=version).set(written)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when Prometheus asks, so that it is never stale."""
        gauge = Gauge(f"presage_router_{name}", text, _LABELS, registry=self.registry)
        gauge.labels(**self._own).set_function(read)

    def exposition(self) -> bytes:
        """Return all series in Prometheus' text format (content type: `CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"presage_router_{name}", text, _LABELS, registry=self.registry).labels(**self._own)

    def _counters(self, name: str, text: str, label: str, values: tuple[str, ...]) -> dict[str, Counter]:
        family = Counter(f"presage_router_{name}", text, (*_LABELS, label), registry=self.registry)
        return {value: family.labels(**self._own, **{label: value}) for value in values}

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        family = Histogram(f"presage_router_{name}", text, _LABELS, registry=self.registry, buckets=buckets)
        return family.labels(**self._own)


CONTENT_TYPE = CONTENT_TYPE_LATEST
