"""The demo's hands on a cluster: apply, wait, read, delete; any cluster that a kubeconfig reaches."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

FIELD_MANAGER = "presage-demo"
SERVICE_LABEL = "presage.dev/service"
POLL_SECONDS = 0.5
LOG_LINES = 15
NOT_FOUND = 404


class DemoError(Exception):
    """Something that stops the demo, in words that say what to do."""


class Cluster:
    """One cluster through one kubeconfig context."""

    def __init__(self, api: client.ApiClient) -> None:
        self.api = api
        # The client's types call every field of every object optional; what the API server requires is there.
        self.core: Any = client.CoreV1Api(api)
        self.apps: Any = client.AppsV1Api(api)
        self.custom: Any = client.CustomObjectsApi(api)
        self._dynamic: Any = None

    @classmethod
    def connect(cls, kubeconfig: Path | None, context: str | None, *, direct: bool = False) -> "Cluster":
        """Connect; `direct` goes past any proxy. DemoError when the context is unknown or unreachable."""
        file = None if kubeconfig is None else str(kubeconfig)
        try:
            load: Any = config.new_client_from_config  # untyped in the client
            api = load(config_file=file, context=context)
            if direct:
                api.configuration.proxy = None
                api = client.ApiClient(api.configuration)
            client.VersionApi(api).get_code(_request_timeout=10)
        except Exception as error:
            where = context or file or "the current context"
            raise DemoError(f"cannot reach the cluster of {where}: {str(error).splitlines()[0]}") from error
        return cls(api)

    def apply(self, manifests: list[dict[str, Any]]) -> None:
        """Apply objects in order by server-side apply. DemoError names the object that was refused."""
        if self._dynamic is None:
            connect: Any = DynamicClient  # untyped in the client
            self._dynamic = connect(self.api)
        for manifest in manifests:
            meta = manifest["metadata"]
            try:
                resource = self._dynamic.resources.get(
                    api_version=manifest["apiVersion"], kind=manifest["kind"]
                )
                self._dynamic.server_side_apply(
                    resource,
                    body=manifest,
                    name=meta["name"],
                    namespace=meta.get("namespace"),
                    field_manager=FIELD_MANAGER,
                    force_conflicts=True,
                )
            except Exception as error:
                reason = getattr(error, "body", None) or error
                raise DemoError(f"{manifest['kind']} {meta['name']} was refused: {reason}") from error

    def wait_for_deployments(
        self, namespace: str, names: tuple[str, ...], seconds: float, tell: Callable[[str], None]
    ) -> None:
        """Wait until each Deployment has all its replicas ready. DemoError says what its pods lack."""
        deadline = time.monotonic() + seconds
        while True:
            missing = [name for name in names if not self._is_ready(namespace, name)]
            if not missing:
                return
            state = self.describe_pods(namespace)
            tell(f"waiting for {', '.join(missing)}: {state}")
            if time.monotonic() > deadline:
                raise DemoError(f"{', '.join(missing)} not ready after {seconds:g} s: {state}")
            time.sleep(POLL_SECONDS)

    def _is_ready(self, namespace: str, name: str) -> bool:
        found = self.apps.read_namespaced_deployment(name, namespace)
        wanted, ready = found.spec.replicas, found.status.ready_replicas or 0
        return bool(ready >= wanted)

    def describe_pods(self, namespace: str) -> str:
        """Say in a line what each pod that is not ready waits for."""
        pods = self.core.list_namespaced_pod(namespace).items
        said = [
            f"{pod.metadata.name} {_why_not_ready(pod)}"
            for pod in pods
            if not pod_is_ready(pod) and pod.status.phase != "Succeeded"
        ]
        return "; ".join(said) or "no pod yet"

    def pod_of_job(self, namespace: str, job: str) -> Any:
        """Return the Job's newest pod, or None."""
        pods = self.core.list_namespaced_pod(namespace, label_selector=f"job-name={job}").items
        return max(pods, key=lambda pod: pod.metadata.creation_timestamp, default=None)

    def log_lines(self, namespace: str, pod: str) -> Iterator[str]:
        """Yield a pod's log from its beginning, as it grows, until the pod or the connection ends."""
        answer = self.core.read_namespaced_pod_log(pod, namespace, follow=True, _preload_content=False)
        rest = b""
        try:
            for piece in answer.stream():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
        finally:
            answer.release_conn()

    def last_log(self, namespace: str, pod: str) -> str:
        """Return the end of a pod's log, for an error message."""
        with contextlib.suppress(ApiException):
            text: str = self.core.read_namespaced_pod_log(pod, namespace, tail_lines=LOG_LINES)
            return text
        return "(no log)"

    def delete_namespace(self, namespace: str, seconds: float) -> None:
        """Delete a namespace and wait until it is gone; 0 s: do not wait. DemoError when it stays longer."""
        try:
            self.core.delete_namespace(namespace)
            deadline = time.monotonic() + seconds
            while seconds > 0:
                self.core.read_namespace(namespace)
                if time.monotonic() > deadline:
                    raise DemoError(
                        f"namespace {namespace} is still there after {seconds:g} s: delete it first"
                    )
                time.sleep(POLL_SECONDS)
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise

    def namespace_exists(self, namespace: str) -> bool:
        """Tell whether a namespace is there already."""
        try:
            self.core.read_namespace(namespace)
        except ApiException as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True


def pod_is_ready(pod: Any) -> bool:
    """Tell whether a pod serves: ready, and not on its way out."""
    conditions = pod.status.conditions or ()
    ready = any(condition.type == "Ready" and condition.status == "True" for condition in conditions)
    return ready and pod.metadata.deletion_timestamp is None


def _why_not_ready(pod: Any) -> str:
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    for status in statuses:
        waiting = status.state.waiting if status.state else None
        if waiting is not None and waiting.reason != "PodInitializing":
            return f"({waiting.reason}{': ' + waiting.message if waiting.message else ''})"
    return f"({pod.status.phase})"
