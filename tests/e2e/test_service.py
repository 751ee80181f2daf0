"""A service on a real node, as its users and its operators meet it."""

import json
import re
import time
from typing import Any

import pytest

from tests.e2e.conftest import NAMESPACE, PODS, Service, Until, answer_of

pytestmark = [pytest.mark.node, pytest.mark.timeout(240)]

STREAMS = 256
SAMPLE = re.compile(r"^(?P<name>[a-z_:]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")


def samples(service: Service, pod: dict[str, Any]) -> dict[str, float]:
    """Give a sidecar's samples by name, summed over labels but for the outcome."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8100/proxy/metrics"
    text = service.cluster.kube("get", "--raw", path)
    found: dict[str, float] = {}
    for line in text.splitlines():
        if match := SAMPLE.match(line):
            outcome = re.search(r'outcome="(\w+)"', match["labels"] or "")
            name = match["name"] + (f":{outcome[1]}" if outcome else "")
            found[name] = found.get(name, 0.0) + float(match["value"])
    return found


def total(service: Service, name: str) -> float:
    """Sum a sidecar metric over the pods."""
    return sum(samples(service, pod).get(f"presage_router_{name}", 0.0) for pod in service.pods())


def idle(service: Service) -> bool:
    """Tell whether nothing of any request is left anywhere."""
    gauges = ("inflight_requests", "waiting_requests", "relays", "kv_usage")
    return all(total(service, gauge) == 0 for gauge in gauges)


def test_official_client_and_256_streams_half_of_them_cut(at_rest: Service, until: Until) -> None:
    """At the Service's address the official client works; of 256 streams half are cut and nothing is left."""
    outcomes = ("ok", "cancelled", "error", "rejected")
    before = {name: total(at_rest, f"requests_total:{name}") for name in outcomes}
    told = at_rest.client("streams.py", str(STREAMS), "40", "2")
    assert told["models"] == ["meta-llama/Llama-3.1-8B-Instruct"]
    assert told["plain"] == 7
    assert told["ended"] == {"cut": STREAMS // 2, "complete": STREAMS // 2}
    until(lambda: idle(at_rest), "no request is left running", 20)
    after = {name: total(at_rest, f"requests_total:{name}") - before[name] for name in outcomes}
    assert after == {"ok": STREAMS / 2 + 1, "cancelled": STREAMS / 2, "error": 0, "rejected": 0}


def test_an_engine_killed_mid_stream_hurts_only_its_own_streams(at_rest: Service, until: Until) -> None:
    """Streams of the killed engine end with an error event, all others complete, and the pod recovers."""
    client = at_rest.start_client("streams.py", "60", "300", "0")
    until(lambda: total(at_rest, "inflight_requests") >= 60, "all streams run", 30)
    victim = at_rest.pods()[0]
    hit = samples(at_rest, victim)["presage_router_inflight_requests"]
    at_rest.kill(victim, "engine")
    ended = answer_of(client)["ended"]
    assert ended.get("broken", 0) == 0
    assert 0 < ended["error"] <= hit
    assert ended["complete"] == 60 - ended["error"]


def test_a_sidecar_killed_takes_only_what_it_carried(at_rest: Service, until: Until) -> None:
    """Killing a sidecar ends only streams that it relayed or guarded; the service goes on at once."""
    client = at_rest.start_client("streams.py", "60", "300", "0")
    until(lambda: total(at_rest, "inflight_requests") >= 60, "all streams run", 30)
    victim = at_rest.pods()[0]
    seen = samples(at_rest, victim)
    carried = seen["presage_router_inflight_requests"] + seen["presage_router_relays"]
    at_rest.kill(victim, "presage")
    ended = answer_of(client)["ended"]
    assert 60 - ended["complete"] <= carried
    assert ended["complete"] > 0
    until(lambda: len(at_rest.ready_pods()) >= PODS - 1, "the others are ready", 10)
    again = at_rest.client("streams.py", "20", "10", "0")["ended"]
    assert again.get("complete", 0) == 20


def test_scale_down_loses_no_stream(at_rest: Service, until: Until) -> None:
    """Pods that go drain first: with streams running on all of them, shrinking to one loses none."""
    client = at_rest.start_client("streams.py", "60", "500", "0")
    until(lambda: total(at_rest, "inflight_requests") >= 60, "all streams run", 30)
    at_rest.kube("scale", "llmsvc", "chat", "--replicas=1")
    until(lambda: len(at_rest.pods()) == 1, "two pods are asked to go", 30)
    assert answer_of(client)["ended"] == {"complete": 60}
    at_rest.kube("scale", "llmsvc", "chat", f"--replicas={PODS}")


def test_operator_killed_mid_scale_neither_stops_nor_jumps(at_rest: Service, until: Until) -> None:
    """With the operator killed while pods start, the target stays as decided, and its successor goes on."""
    at_rest.kube("scale", "llmsvc", "chat", "--replicas=1")
    until(lambda: at_rest.status()["replicas"] == 1, "one pod is left", 90)
    at_rest.kube("scale", "llmsvc", "chat", "--replicas=3")
    wanted = ("get", "deployment", "chat", "-o", "jsonpath={.spec.replicas}")
    until(lambda: at_rest.kube(*wanted) == "3", "three are wanted", 20)
    at_rest.cluster.kube(
        "-n", "presage-system", "delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false"
    )
    seen = set()
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and len(at_rest.ready_pods()) < PODS:
        seen.add(at_rest.kube(*wanted))
        time.sleep(0.5)
    assert seen <= {"3"}
    until(lambda: at_rest.status()["readyReplicas"] == PODS, "the successor sees three ready pods", 60)


def test_the_measured_cold_start_is_the_pods_own(at_rest: Service, until: Until) -> None:
    """The cold start in the status is the time from creation to ready that the pods really took."""
    until(lambda: "coldStartSeconds" in at_rest.status()["pools"][0], "a cold start is known", 20)
    told = at_rest.status()["pools"][0]["coldStartSeconds"]
    assert 8 <= told <= 60  # 10 s of the engine's own; the pod's start comes on top


def test_deleting_the_service_never_hangs(at_rest: Service) -> None:
    """An LLMService has no finalizer that blocks: it is gone within seconds and its pods stay."""
    at_rest.kube("delete", "llmsvc", "chat", "--timeout=10s")
    assert at_rest.kube("get", "llmsvc", "-o", "name") == ""
    deployment = json.loads(at_rest.kube("get", "deployment", "chat", "-o", "json"))
    assert deployment["spec"]["replicas"] == PODS
    assert deployment["metadata"]["namespace"] == NAMESPACE
