"""Watches a run from outside: pods and Deployments by watches, decisions by status, requests by log.

Each source has a thread that reconnects by itself; all write into one Timeline and one set of
records, which view and results read. Instants are when this process heard of an event.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from kubernetes import watch

from presage_cli.demo.cluster import SERVICE_LABEL, Cluster, pod_is_ready
from presage_cli.demo.plan import Plan
from presage_cli.demo.records import Progress, RequestRecord, parse_line
from presage_cli.demo.timeline import Timeline

GROUP, VERSION, PLURAL = "presage.dev", "v1alpha1", "llmservices"
RETRY_SECONDS = 0.5
STATUS_SECONDS = 1.0
WATCH_SECONDS = 300
REPLAY_JOB = "replay"


class Observer:
    """Everything seen of a run so far; start it before the services, stop it after the replay."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self.timeline = Timeline(plan.service_names)
        self.progress: Progress | None = None
        self.failure: str | None = None
        self.last_error = ""
        self._records: dict[tuple[str, int], RequestRecord] = {}
        self._cluster = cluster
        self._plan = plan
        self._stopped = threading.Event()

    @property
    def records(self) -> list[RequestRecord]:
        """All request records so far."""
        return list(self._records.values())

    def start(self) -> None:
        """Start watching pods, Deployments and decisions."""
        for source in (self._watch_pods, self._watch_deployments, self._poll_statuses):
            self._in_thread(source)

    def start_reading_replay(self) -> None:
        """Start reading the load generator's log."""
        self._in_thread(self._read_replay)

    def stop(self) -> None:
        """Stop; threads end with their current connection."""
        self._stopped.set()

    def _in_thread(self, work: Callable[[], None]) -> None:
        def run() -> None:
            while not self._stopped.is_set():
                try:
                    work()
                except Exception as error:  # noqa: BLE001 - whatever broke, the source is asked again
                    self.last_error = f"{type(error).__name__}: {error}"
                self._stopped.wait(RETRY_SECONDS)

        threading.Thread(target=run, daemon=True, name=work.__name__).start()

    def _watch_pods(self) -> None:
        core, namespace = self._cluster.core, self._plan.namespace
        listed = core.list_namespaced_pod(namespace, label_selector=SERVICE_LABEL)
        now = time.time()
        for pod in listed.items:
            self._pod(pod, now)
        for service in self._plan.service_names:
            names = {
                pod.metadata.name for pod in listed.items if pod.metadata.labels[SERVICE_LABEL] == service
            }
            self.timeline.pods_listed(service, names, now)
        for event in self._events(core.list_namespaced_pod, listed.metadata.resource_version, SERVICE_LABEL):
            if event["type"] == "DELETED":
                pod = event["object"]
                self.timeline.pod_gone(pod.metadata.labels[SERVICE_LABEL], pod.metadata.name, time.time())
            else:
                self._pod(event["object"], time.time())

    def _pod(self, pod: Any, now: float) -> None:
        service = pod.metadata.labels[SERVICE_LABEL]
        if service in self.timeline.services:
            self.timeline.pod_seen(service, pod.metadata.name, now, ready=pod_is_ready(pod))

    def _watch_deployments(self) -> None:
        apps, namespace = self._cluster.apps, self._plan.namespace
        listed = apps.list_namespaced_deployment(namespace)
        for found in listed.items:
            self._deployment(found)
        for event in self._events(apps.list_namespaced_deployment, listed.metadata.resource_version, None):
            if event["type"] in {"ADDED", "MODIFIED"}:
                self._deployment(event["object"])

    def _deployment(self, found: Any) -> None:
        if found.metadata.name in self.timeline.services:
            self.timeline.replicas_asked(found.metadata.name, found.spec.replicas, time.time())

    def _events(self, listing: Callable[..., Any], version: str, selector: str | None) -> Any:
        options = {"label_selector": selector} if selector else {}
        make: Any = watch.Watch  # untyped in the client
        stream = make().stream(
            listing,
            self._plan.namespace,
            resource_version=version,
            timeout_seconds=WATCH_SECONDS,
            **options,
        )
        for event in stream:
            if self._stopped.is_set():
                return
            yield event

    def _poll_statuses(self) -> None:
        while not self._stopped.is_set():
            found = self._cluster.custom.list_namespaced_custom_object(
                GROUP, VERSION, self._plan.namespace, PLURAL
            )
            now = time.time()
            for each in found["items"]:
                self._status(each["metadata"]["name"], each.get("status") or {}, now)
            self._stopped.wait(STATUS_SECONDS)

    def _status(self, service: str, status: dict[str, Any], now: float) -> None:
        if service not in self.timeline.services:
            return
        foreseen = status.get("forecast") or {}
        pools = status.get("pools") or [{}]
        reason = pools[0].get("message") or pools[0].get("reason") or ""
        self.timeline.decision_seen(
            service, status.get("desiredReplicas"), foreseen.get("tokensPerSecond"), now, reason
        )
        error, coverage = foreseen.get("errorPercent"), foreseen.get("coveragePercent")
        if error is not None and coverage is not None:
            self.timeline.accuracy_seen(service, error / 100, coverage / 100)

    def _read_replay(self) -> None:
        """Read the log until the replay has finished; a broken log is read again from its start."""
        pod = self._cluster.pod_of_job(self._plan.namespace, REPLAY_JOB)
        if pod is None or pod.status.phase == "Pending":
            return
        for line in self._cluster.log_lines(self._plan.namespace, pod.metadata.name):
            self._line(line)
        finished = self.progress is not None and self.progress.finished
        if finished or pod.status.phase != "Failed":
            return
        end = self._cluster.last_log(self._plan.namespace, pod.metadata.name)
        self.failure = f"the load generator failed; the end of its log:\n{end}"

    def _line(self, line: str) -> None:
        entry = parse_line(line)
        if isinstance(entry, RequestRecord):
            self._records[entry.service, entry.number] = entry
        elif isinstance(entry, Progress) and (self.progress is None or entry.at >= self.progress.at):
            self.progress = entry
