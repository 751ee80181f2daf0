"""Prometheus: its configuration, its history, and how it is started."""

import asyncio
from pathlib import Path
from typing import Any

import yaml

from presage_sandbox.errors import SandboxError
from presage_sandbox.health import answers_ok
from presage_sandbox.layout import Layout
from presage_sandbox.program import Program
from presage_sandbox.supervisor import Supervisor

SIDECAR_PORT = 8100  # where every sidecar serves /metrics (docs/architecture.md)
POD = "__meta_kubernetes_pod"


async def prepare_prometheus(supervisor: Supervisor) -> None:
    """Write the configuration and load the history where one is given; SandboxError when it is bad."""
    layout = supervisor.layout
    layout.targets.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(configuration(layout), sort_keys=False)
    (layout.state / "prometheus" / "prometheus.yaml").write_text(text)
    if layout.options.prometheus_history is not None:
        supervisor.say(f"loading {layout.options.prometheus_history} into Prometheus")
        await load_history(layout, Path(layout.options.prometheus_history))


def prometheus(layout: Layout) -> Program:
    """Keep everything for ten years: history is older than today, and the sandbox is short-lived."""
    url = f"http://{layout.address}:{layout.ports['prometheus']}"
    return Program(
        "prometheus",
        (
            str(layout.binary("prometheus")),
            f"--config.file={layout.state / 'prometheus' / 'prometheus.yaml'}",
            f"--storage.tsdb.path={_data(layout)}",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address={layout.address}:{layout.ports['prometheus']}",
            f"--web.external-url={layout.prometheus_url}",
            "--web.enable-lifecycle",
            "--log.level=warn",
        ),
        address=layout.prometheus_url,
        healthy=answers_ok(f"{url}/-/ready", layout.certificates),
    )


async def load_history(layout: Layout, history: Path) -> None:
    """Turn an OpenMetrics file with timestamps into blocks; SandboxError with promtool's words."""
    process = await asyncio.create_subprocess_exec(
        str(layout.binary("promtool")),
        *("tsdb", "create-blocks-from", "openmetrics", "--quiet", str(history), str(_data(layout))),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise SandboxError(
            f"promtool could not load {history} (--prometheus-history wants OpenMetrics text with "
            f"timestamps that ends in '# EOF'): {output.decode(errors='replace').strip()}"
        )


def configuration(layout: Layout) -> dict[str, Any]:
    """Targets from files always; the cluster's pods when there is a node whose pods can be reached."""
    interval = layout.options.scrape_interval_seconds
    files = {"files": [str(layout.targets / "*.json")], "refresh_interval": "5s"}
    jobs: list[dict[str, Any]] = [{"job_name": "files", "honor_labels": True, "file_sd_configs": [files]}]
    if layout.options.node:
        jobs += [_sidecars(layout), _annotated_pods(layout)]
    return {
        "global": {"scrape_interval": f"{interval}s", "scrape_timeout": f"{interval}s"},
        "storage": {"tsdb": {"out_of_order_time_window": "1h"}},  # late samples are welcome, not errors
        "scrape_configs": jobs,
    }


def _pods(layout: Layout, job: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Build a job over running pods; labels that a sidecar sets itself (service, namespace) are kept."""
    discovery = {"role": "pod", "kubeconfig_file": str(layout.kubeconfigs / "prometheus.kubeconfig")}
    return {
        "job_name": job,
        "honor_labels": True,
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": [
            {"source_labels": [f"{POD}_phase"], "regex": "Succeeded|Failed", "action": "drop"},
            *rules,
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": [f"{POD}_name"], "target_label": "pod"},
        ],
    }


def _sidecars(layout: Layout) -> dict[str, Any]:
    """Scrape pods labelled `presage.dev/service`; one target a pod, however many ports it names."""
    label = f"{POD}_label_presage_dev_service"
    port = {
        "source_labels": [f"{POD}_ip"],
        "regex": "(.+)",
        "target_label": "__address__",
        "replacement": f"$1:{SIDECAR_PORT}",
    }
    keep = {"source_labels": [label], "regex": ".+", "action": "keep"}
    return _pods(layout, "sidecars", [keep, port])


def _annotated_pods(layout: Layout) -> dict[str, Any]:
    """Scrape pods with `prometheus.io/scrape: "true"`, at `prometheus.io/port` and `prometheus.io/path`."""
    annotation = f"{POD}_annotation_prometheus_io"
    return _pods(
        layout,
        "annotated-pods",
        [
            {"source_labels": [f"{annotation}_scrape"], "regex": "true", "action": "keep"},
            {
                "source_labels": [f"{POD}_ip", f"{annotation}_port"],
                "separator": ":",
                "regex": "(.+:[0-9]+)",
                "target_label": "__address__",
            },
            {"source_labels": [f"{annotation}_path"], "regex": "(/.*)", "target_label": "__metrics_path__"},
        ],
    )


def _data(layout: Layout) -> Path:
    return layout.state / "prometheus" / "data"
