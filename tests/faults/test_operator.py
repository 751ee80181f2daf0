"""What the operator does when it, its peers, Prometheus or the API server fail."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest
from operator_world import OperatorProcess, Service, operator_process
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

BUSY, QUIET = 12_000.0, 20.0  # prompt tokens per second: several pods' worth, and next to nothing
STEPWISE = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 3}]},
    "scaleDown": {"stabilizationWindowSeconds": 0},
}


class Recorder:
    """Notes the Deployment's replicas all the time, and plays the node for it."""

    def __init__(self, chat: Service, prompt: float) -> None:
        self.chat = chat
        self.prompt = prompt
        self.seen: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._stop.wait(0.4):
            with contextlib.suppress(Exception):  # the API server may be away: that is what is tested
                self.chat.play_node(self.prompt, self.prompt / 5)
                self.seen.append(self.chat.replicas())

    @property
    def last(self) -> int:
        """The newest count."""
        return self.seen[-1] if self.seen else -1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def operator(chat: Service, tmp_path: Path) -> Iterator[OperatorProcess]:
    """Run an operator for the namespace of `chat`."""
    with operator_process(chat.cluster, chat.namespace, tmp_path / "operator.log") as process:
        yield process


def leading(operator: OperatorProcess) -> bool:
    """Tell whether an operator says that it leads."""
    with contextlib.suppress(httpx.TransportError):
        return "presage_operator_leader 1.0" in httpx.get(f"{operator.url}/metrics").text
    return False


def metrics_reason(chat: Service) -> str:
    """Return status and reason of MetricsAvailable; empty while the API server is away."""
    with contextlib.suppress(Exception):
        condition = chat.condition("MetricsAvailable")
        return f"{condition.get('status')} {condition.get('reason')}"
    return ""


def test_an_operator_killed_while_scaling_is_succeeded_without_a_jump(chat: Service, tmp_path: Path) -> None:
    """Killed between two steps up: nothing moves until a successor leads, which only goes on upwards."""
    chat.create(1, chat.spec(behavior=STEPWISE))
    with Recorder(chat, BUSY) as recorder:
        with operator_process(chat.cluster, chat.namespace, tmp_path / "first.log") as first:
            until(lambda: recorder.last == 2, 40)
            first.process.kill()
            first.process.wait()
        left_at = recorder.last
        time.sleep(4)
        assert recorder.last == left_at
        with operator_process(chat.cluster, chat.namespace, tmp_path / "second.log"):
            until(lambda: recorder.last >= left_at + 2, 40)
            until(lambda: chat.condition("ScalingActive").get("status") == "True", 10)
    assert recorder.seen == sorted(recorder.seen)


def test_two_minutes_without_prometheus_take_no_pod_away(operator: OperatorProcess, chat: Service) -> None:
    """Pods stay for the whole outage though load fell, the condition names the address, then all recovers."""
    chat.create(1)
    with Recorder(chat, BUSY) as recorder:
        until(lambda: recorder.last >= 2, 40)
        until(lambda: chat.status().get("readyReplicas", 0) >= 2, 20)
        recorder.prompt = QUIET
        chat.cluster.stop("prometheus")
        try:
            held = chat.replicas()
            until(lambda: metrics_reason(chat) == "False PrometheusUnreachable", 15)
            message = chat.condition("MetricsAvailable")["message"]
            assert chat.cluster.prometheus_url in message
            began = len(recorder.seen)
            time.sleep(120)
            during = recorder.seen[began:]
            assert len(during) > 30
            assert min(during) >= held
            assert max(during) <= held + 1  # what was foretold before the outage may still come
            assert any(what == "PrometheusUnreachable" for what, _ in chat.events())
        finally:
            chat.cluster.start("prometheus")
        until(lambda: metrics_reason(chat).startswith("True"), 30)
        until(lambda: recorder.last == 1, 60)


def test_an_api_server_that_restarts_is_met_again(operator: OperatorProcess, chat: Service) -> None:
    """The same process goes on afterwards: replicas stay meanwhile, and new load moves pods again."""
    chat.create(1)
    with Recorder(chat, QUIET) as recorder:
        until(lambda: metrics_reason(chat).startswith("True"), 40)
        chat.cluster.stop("kube-apiserver")
        try:
            time.sleep(8)  # longer than the lease lasts
            assert not leading(operator)
            assert operator.process.poll() is None
            assert httpx.get(f"{operator.url}/livez").status_code == 200
        finally:
            chat.cluster.start("kube-apiserver")
        until(lambda: leading(operator), 30)
        assert set(recorder.seen) == {1}
        recorder.prompt = BUSY
        until(lambda: recorder.last >= 2, 60)
    chat.declare(chat.spec(mode="Recommend"))  # the watch is alive again, too
    until(lambda: chat.status().get("observedGeneration") == chat.get()["metadata"]["generation"], 20)


def test_of_two_operators_one_acts(operator: OperatorProcess, chat: Service, tmp_path: Path) -> None:
    """Never two leaders; the standby takes over when the leader leaves, and when it is killed."""
    until(lambda: leading(operator), 20)
    chat.create(1)
    with (
        Recorder(chat, BUSY) as recorder,
        operator_process(chat.cluster, chat.namespace, tmp_path / "second.log") as second,
    ):
        until(lambda: serving(second), 20)
        until(lambda: recorder.last >= 2, 40)
        assert leading(operator)
        assert not leading(second)
        told = [why for what, why in chat.events() if what == "ScaledUp"]
        assert len(told) == len(set(told))
        operator.process.terminate()  # hands the lease over
        began = time.monotonic()
        until(lambda: leading(second), 10, 0.1)
        assert time.monotonic() - began < 3
        with operator_process(chat.cluster, chat.namespace, tmp_path / "third.log") as third:
            until(lambda: serving(third), 20)
            second.process.kill()  # takes the lease to its grave
            until(lambda: leading(third), 10, 0.1)
            until(lambda: chat.condition("ScalingActive").get("status") == "True", 10)
    ups = recorder.seen
    assert ups == sorted(ups)


def serving(operator: OperatorProcess) -> bool:
    """Tell whether an operator serves its port and is ready."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{operator.url}/readyz").status_code == 200
    return False
