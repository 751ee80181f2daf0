"""Plays the demo from an empty machine (or the user's cluster) to the report, and cleans up after it."""

import contextlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presage_sandbox.progress import Progress

from presage_cli.demo.ablation import Ablation
from presage_cli.demo.cluster import Cluster, DemoError
from presage_cli.demo.manifests import Manifests
from presage_cli.demo.observer import Observer
from presage_cli.demo.plan import Plan
from presage_cli.demo.report import report_html
from presage_cli.demo.results import Run, result_document, verdict
from presage_cli.demo.scene import scene_of
from presage_cli.demo.schedule import Arrival, build_schedule, offered_tokens
from presage_cli.demo.settings import make_plan
from presage_cli.demo.stage import Stage
from presage_cli.demo.traces import read_lengths, read_shape
from presage_cli.demo.view import live_view

NAMESPACE = "presage-demo"
READY_SECONDS = 120.0
PROMETHEUS_SECONDS = 60.0
START_SECONDS = 10  # from applying Prometheus and the load generator to the first warm-up request
GONE_SECONDS = 150.0  # longer than the pods' termination grace
SCENE_SECONDS = 1.0
END_GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Files:
    """Where the demo reads and writes."""

    data: Path
    manifests: Path
    chart: Path
    out: Path

    @classmethod
    def of_checkout(cls, out: Path) -> "Files":
        """Find the demo's files beside this package. DemoError outside a checkout."""
        root = Path(__file__).resolve().parents[3]
        files = cls(
            root / "examples/demo/data", root / "examples/demo/manifests", root / "charts/presage", out
        )
        for folder in (files.data, files.manifests, files.chart):
            if not folder.is_dir():
                raise DemoError(f"{folder} is missing: run the demo from a checkout of the project")
        return files


def play(
    stage: Stage, files: Files, progress: Progress, *, keep: bool, without: Ablation | None = None
) -> dict[str, Any]:
    """Play the whole demo; returns `result.json` with the verdict under `faults`.

    The predictive service is set beside a reactive one, or beside itself `without` something.

    Writes result.json, report.html and records.jsonl to `files.out`. Whatever happens, the stage is
    closed and the namespace deleted, unless `keep`. DemoError says what stopped it.
    """
    lengths = read_lengths(files.data / "lengths.csv")
    plan = make_plan(lengths, NAMESPACE, without)
    arrivals = build_schedule(read_shape(files.data / "shape.csv"), lengths, plan)
    files.out.mkdir(parents=True, exist_ok=True)
    with _stage(stage, progress, keep=keep) as cluster:
        stage.install(files.chart, progress)
        with _namespace(cluster, plan, progress, keep=keep):
            run = _replay(cluster, stage, files, plan, arrivals, progress)
            document = result_document(run)
            _write(files.out, run, document)
    expected = sum(arrival.at >= 0 for arrival in arrivals)
    return document | {"faults": _faults(document, plan, expected)}


@contextlib.contextmanager
def _stage(stage: Stage, progress: Progress, *, keep: bool) -> Iterator[Cluster]:
    try:
        yield stage.open(progress)
    finally:
        if not keep:
            stage.close(progress)


@contextlib.contextmanager
def _namespace(cluster: Cluster, plan: Plan, progress: Progress, *, keep: bool) -> Iterator[None]:
    """Start from an empty namespace, and delete it afterwards."""
    if cluster.namespace_exists(plan.namespace):
        with progress.step(f"deleting namespace {plan.namespace} of an earlier run"):
            cluster.delete_namespace(plan.namespace, GONE_SECONDS)
    try:
        yield
    finally:
        if not keep:
            cluster.delete_namespace(plan.namespace, 0)


def _replay(  # noqa: PLR0917 - called in one place
    cluster: Cluster, stage: Stage, files: Files, plan: Plan, arrivals: list[Arrival], progress: Progress
) -> Run:
    manifests = Manifests(files.manifests, plan, stage.image, stage.prometheus_image)
    observer = Observer(cluster, plan)
    try:
        with progress.step("starting two equal services") as step:
            cluster.apply(manifests.namespace())
            cluster.apply([manifests.data(files.data / "shape.csv", files.data / "lengths.csv")])
            observer.start()
            for service in plan.services:
                cluster.apply(manifests.service(service))
            cluster.wait_for_deployments(plan.namespace, plan.service_names, READY_SECONDS, step.update)
        starts_at = _start_of(plan, time.time())
        with progress.step("loading history into Prometheus") as step:
            cluster.apply(manifests.prometheus(starts_at))
            cluster.apply(manifests.replay(starts_at))
            cluster.wait_for_deployments(plan.namespace, ("prometheus",), PROMETHEUS_SECONDS, step.update)
        observer.start_reading_replay()
        offered = offered_tokens(arrivals, plan)
        _watch(observer, plan, [float(rate) for rate in offered], starts_at)
    finally:
        observer.stop()
    end = observer.progress
    assert end is not None  # _watch returned
    return Run(
        plan=plan,
        starts_at=starts_at,
        offered_tokens_per_second=tuple(map(float, offered)),
        records=tuple(sorted(observer.records, key=lambda record: (record.number, record.service))),
        timeline=observer.timeline,
        sent_late_p99_ms=end.late_p99_ms,
        sent_late_max_ms=end.late_max_ms,
    )


def _start_of(plan: Plan, now: float) -> float:
    """Choose when the part that counts begins: after start-up and warm-up, at a window's edge.

    Operators cut load into windows that are whole multiples of their length since 1970.
    """
    earliest = now + START_SECONDS + plan.lead_seconds
    return math.ceil(earliest / plan.window_seconds) * plan.window_seconds


def _watch(observer: Observer, plan: Plan, offered: list[float], starts_at: float) -> None:
    """Show the run until the load generator says that it has finished. DemoError when it fails."""
    deadline = starts_at + plan.replay_seconds + plan.drain_limit_seconds + END_GRACE_SECONDS
    with live_view() as show:
        while observer.progress is None or not observer.progress.finished:
            show(scene_of(observer, plan, offered, starts_at, time.time()))
            if observer.failure:
                raise DemoError(observer.failure)
            if time.time() > deadline or (observer.progress is None and time.time() > starts_at):
                raise DemoError(f"the load generator did not start or end in time ({observer.last_error})")
            time.sleep(SCENE_SECONDS)
        show(scene_of(observer, plan, offered, starts_at, time.time()))


def _write(out: Path, run: Run, document: dict[str, Any]) -> None:
    (out / "result.json").write_text(json.dumps(document, indent=2) + "\n")
    (out / "records.jsonl").write_text("".join(record.as_line() + "\n" for record in run.records))
    (out / "report.html").write_text(report_html(run))


def _faults(document: dict[str, Any], plan: Plan, expected: int) -> list[str]:
    missing = [
        f"{name} was sent {document[name]['requests']} of {expected} requests"
        for name in plan.service_names
        if document[name]["requests"] != expected
    ]
    return [*missing, *verdict(document, plan)]
