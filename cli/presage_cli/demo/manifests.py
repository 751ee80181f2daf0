"""Fills the demo's manifests in: plain YAML with `$names`, so that anyone can read what will be applied.

Both services come from one page, `service.yaml`; what may differ between them is what
`service_values` takes from the service's plan.
"""

import math
import string
from pathlib import Path
from typing import Any

import yaml

from presage_cli.demo.plan import Plan, ServicePlan

Manifest = dict[str, Any]
START_SECONDS = 4  # a pod's own start, added to the emulated cold start as the operator's first assumption


class ManifestError(ValueError):
    """A manifest page that is missing or names something unknown; the text says which."""


class Manifests:
    """The pages of one folder, filled in for one plan and one image."""

    def __init__(self, folder: Path, plan: Plan, image: str, prometheus_image: str) -> None:
        self._folder = folder
        self._plan = plan
        self._shared = {
            "namespace": plan.namespace,
            "image": image,
            "prometheus_image": prometheus_image,
        }

    def namespace(self) -> list[Manifest]:
        """Return the namespace and who may do what in it."""
        return self._filled("namespace.yaml", {})

    def data(self, shape: Path, lengths: Path) -> Manifest:
        """Return the ConfigMap that hands plan and slices to the pods."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "demo", "namespace": self._plan.namespace},
            "data": {
                "plan.json": self._plan.model_dump_json(indent=1),
                "shape.csv": shape.read_text(),
                "lengths.csv": lengths.read_text(),
            },
        }

    def service(self, service: ServicePlan) -> list[Manifest]:
        """Return one service: LLMService, Service and Deployment."""
        return self._filled("service.yaml", self._common_values() | service_values(service))

    def prometheus(self, starts_at: float) -> list[Manifest]:
        """Return Prometheus with its history up to its own start."""
        return self._filled("prometheus.yaml", {"starts_at": f"{starts_at:.0f}"})

    def replay(self, starts_at: float) -> list[Manifest]:
        """Return the load generator's Job."""
        first, second = self._plan.service_names
        values: dict[str, object] = {
            "starts_at": f"{starts_at:.0f}",
            "first_service": first,
            "second_service": second,
        }
        return self._filled("replay.yaml", values)

    def _common_values(self) -> dict[str, object]:
        plan = self._plan
        return {
            "model": plan.model,
            "profile": plan.profile,
            "ttft_milliseconds": plan.objectives.ttft_milliseconds,
            "tpot_milliseconds": plan.objectives.tpot_milliseconds,
            "percentile": plan.objectives.percentile,
            "min_replicas": plan.min_replicas,
            "max_replicas": plan.max_replicas,
            "interval_seconds": plan.interval_seconds,
            "cold_start_seconds": f"{plan.cold_start_seconds:g}",
            "assumed_cold_start_seconds": math.ceil(plan.cold_start_seconds + START_SECONDS),
            "stream_interval": plan.stream_interval,
            "window_seconds": _whole(plan.window_seconds, "a window"),
            "day_seconds": _whole(plan.day_seconds, "a day"),
            "history_seconds": math.ceil(
                (plan.trace.first_window + plan.trace.windows) * plan.window_seconds
            ),
        }

    def _filled(self, page: str, values: dict[str, object]) -> list[Manifest]:
        path = self._folder / page
        try:
            text = string.Template(path.read_text()).substitute(self._shared | values)
        except OSError as error:
            raise ManifestError(f"{path}: {error.strerror}; run from a checkout of the project") from error
        except (KeyError, ValueError) as error:
            raise ManifestError(f"{path}: unknown or malformed placeholder: {error}") from error
        return [document for document in yaml.safe_load_all(text) if document]


def service_values(service: ServicePlan) -> dict[str, object]:
    """Return all that differs between the two services."""
    return {
        "name": service.name,
        "scaling_policy": service.scaling_policy,
        "routing_policy": service.routing_policy,
        "forecast_model": service.forecast_model,
        "length_predictor": service.length_predictor,
    }


def _whole(seconds: float, what: str) -> int:
    """Return whole seconds: the API takes no fractions, and a rounded window would drift from the load."""
    if seconds != round(seconds):
        raise ManifestError(f"{what} is {seconds:g} s in the replay: choose a time scale that makes it whole")
    return round(seconds)
