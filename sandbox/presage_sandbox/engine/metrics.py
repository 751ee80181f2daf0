"""The engine's metrics under vLLM's names, so that whatever scrapes a vLLM can scrape this engine.

Histograms hold engine seconds: with a time scale other than 1 they still read like the profile.
One metric is not vLLM's: how far this process fell behind the clock of the engine it emulates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from presage_sandbox.engine.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from presage_policies.engine import EngineProfile

CONTENT_TYPE = CONTENT_TYPE_LATEST
_LABELS = ("model_name", "engine")
FINISH_REASONS = ("stop", "length", "abort")

_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_REQUEST = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920)


class Queue(Protocol):
    """What a scrape reads from the batch as it is."""

    @property
    def running(self) -> int:
        """Sequences in the batch."""

    @property
    def waiting(self) -> int:
        """Requests that wait for room."""

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use, 0 to 1."""


class EngineMetrics:
    """What the loop counts. Tokens and requests since the start; histograms in engine seconds."""

    def __init__(self) -> None:
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.preemptions = 0
        self.finished = dict.fromkeys(FINISH_REASONS, 0)
        self.time_to_first_token = Histogram(*_TTFT)
        self.inter_token_latency = Histogram(*_TOKEN)
        self.e2e_request_latency = Histogram(*_REQUEST)
        self.slipped_seconds = 0.0


class Exposition(Collector):
    """Writes `metrics` and the state of `queue` in the Prometheus text format."""

    def __init__(self, metrics: EngineMetrics, queue: Queue, profile: EngineProfile, model: str) -> None:
        self._metrics = metrics
        self._queue = queue
        self._profile = profile
        self._labels = (model, "0")
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> bytes:
        """Give the whole scrape."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give every series once."""
        yield from self._gauges()
        yield from self._counters()
        yield from self._histograms()

    def _gauges(self) -> Iterator[Metric]:
        rows: tuple[tuple[str, str, float], ...] = (
            ("vllm:num_requests_running", "Requests in the batch.", self._queue.running),
            ("vllm:num_requests_waiting", "Requests waiting for room.", self._queue.waiting),
            ("vllm:kv_cache_usage_perc", "KV cache in use, 1 is all.", self._queue.kv_usage),
        )
        for name, text, value in rows:
            gauge = GaugeMetricFamily(name, text, labels=_LABELS)
            gauge.add_metric(self._labels, value)
            yield gauge
        block = self._profile.block_tokens
        info = GaugeMetricFamily(
            "vllm:cache_config_info",
            "The KV cache's layout.",
            labels=("engine", "block_size", "num_gpu_blocks", "cache_dtype", "enable_prefix_caching"),
        )
        blocks = self._profile.kv_capacity_tokens // block
        info.add_metric(("0", str(block), str(blocks), "auto", "False"), 1)
        yield info

    def _counters(self) -> Iterator[Metric]:
        counts = self._metrics
        rows: tuple[tuple[str, str, float], ...] = (
            ("vllm:prompt_tokens", "Prompt tokens of requests whose prefill ended.", counts.prompt_tokens),
            ("vllm:generation_tokens", "Output tokens.", counts.generation_tokens),
            ("vllm:num_preemptions", "Preemptions for lack of KV cache.", counts.preemptions),
            (
                "presage_engine_clock_slip_seconds",
                "Real seconds by which this process was too late to keep to the emulated engine's clock.",
                counts.slipped_seconds,
            ),
        )
        for name, text, value in rows:
            counter = CounterMetricFamily(name, text, labels=_LABELS)
            counter.add_metric(self._labels, value)
            yield counter
        finished = CounterMetricFamily(
            "vllm:request_success", "Finished requests.", labels=(*_LABELS, "finished_reason")
        )
        for reason, count in counts.finished.items():
            finished.add_metric((*self._labels, reason), count)
        yield finished

    def _histograms(self) -> Iterable[Metric]:
        counts = self._metrics
        for name, text, histogram in (
            ("time_to_first_token", "Arrival to first token.", counts.time_to_first_token),
            ("inter_token_latency", "Token to token.", counts.inter_token_latency),
            ("e2e_request_latency", "Arrival to last token.", counts.e2e_request_latency),
        ):
            family = HistogramMetricFamily(f"vllm:{name}_seconds", f"{text} Engine seconds.", labels=_LABELS)
            family.add_metric(self._labels, histogram.cumulative(), histogram.sum)
            yield family
