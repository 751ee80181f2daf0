"""The operator's own metrics (docs/architecture.md, "The operator").

Series of a service vanish with the service: a gauge that outlives its object is a lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

LABELS = ("namespace", "name", "pool")
PASS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Every metric of one operator process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.desired = self._gauge("desired_replicas", "Replicas that the last decision calls for.")
        self.current = self._gauge("current_replicas", "Replicas that the target has been asked for.")
        self.ready = self._gauge("ready_replicas", "Pods that are ready.")
        self.forecast = self._gauge(
            "forecast_tokens_per_second",
            "Forecast token rate, largest window within the horizon.",
            "kind",
            "quantile",
        )
        self.forecast_wape = self._gauge(
            "forecast_wape", "Sum of absolute errors of the forecasts that served, over the sum of load."
        )
        self.forecast_coverage = self._gauge(
            "forecast_coverage90", "Share of windows within the stated 90 % quantile of their forecast."
        )
        self.forecast_age = self._gauge("forecast_age_seconds", "Age of the forecast in force.")
        self.forecast_model = self._gauge("forecast_model", "1 for the model that forecasts.", "model")
        self.weights = Gauge(
            "presage_operator_forecast_weights",
            "1 for the weights that the learned forecaster serves with.",
            ("version",),
            registry=self.registry,
        )
        self.weights_usable = Gauge(
            "presage_operator_forecast_weights_usable",
            "0 while the file of weights that was asked for cannot be used and others serve.",
            registry=self.registry,
        )
        self.weights_written = Gauge(
            "presage_operator_forecast_weights_written_timestamp_seconds",
            "When the file of the weights that serve was written; those of the package have no series.",
            ("version",),
            registry=self.registry,
        )
        self.cold_start = self._gauge("cold_start_seconds", "P90 from pod creation to readiness, or assumed.")
        self.metrics_age = self._gauge("metrics_age_seconds", "Age of the newest sample of the service.")
        self.last_pass = self._gauge(
            "last_reconcile_timestamp_seconds", "When the last pass that reached a decision ended."
        )
        self.decisions = Counter(
            "presage_operator_decisions_total",
            "Decisions by their code.",
            (*LABELS, "code"),
            registry=self.registry,
        )
        self.pass_seconds = Histogram(
            "presage_operator_reconcile_seconds",
            "Duration of a pass.",
            LABELS,
            registry=self.registry,
            buckets=PASS_BUCKETS,
        )
        self.failures = Counter(
            "presage_operator_reconcile_errors_total",
            "Passes that ended without a decision.",
            LABELS,
            registry=self.registry,
        )
        self.leader = Gauge(
            "presage_operator_leader", "1 while this process holds the lease.", registry=self.registry
        )
        self.leader.set(0)

    def _gauge(self, name: str, text: str, *more: str) -> Gauge:
        return Gauge(f"presage_operator_{name}", text, (*LABELS, *more), registry=self.registry)

    def show_weights(self, version: str, written: float | None, *, usable: bool) -> None:
        """Show which weights serve; one version at a time has a series."""
        self.weights.clear()
        self.weights.labels(version).set(1)
        self.weights_written.clear()
        if written is not None:
            self.weights_written.labels(version).set(written)
        self.weights_usable.set(int(usable))

    def forget(self, namespace: str, name: str, pools: Iterable[str] = ()) -> None:
        """Drop every series of a service, or only those of some of its pools."""
        families = (
            self.desired,
            self.current,
            self.ready,
            self.forecast,
            self.forecast_wape,
            self.forecast_coverage,
            self.forecast_age,
            self.forecast_model,
            self.cold_start,
            self.metrics_age,
            self.last_pass,
            self.decisions,
            self.pass_seconds,
            self.failures,
        )
        where = {"namespace": namespace, "name": name}
        for family in families:
            for one in [{**where, "pool": pool} for pool in pools] or [where]:
                family.remove_by_labels(one)
