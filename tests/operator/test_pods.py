"""Pods and their cold start, read as the API serves them."""

import math

from hypothesis import given
from hypothesis import strategies as st
from presage_operator.endpoints import Endpoints, count
from presage_operator.pods import ColdStarts, Pod, pod_of


def pod(uid: str, created: float, ready_after: float | None, restarts: int = 0) -> Pod:
    """Return a pod that became ready so many seconds after its creation."""
    ready = None if ready_after is None else created + ready_after
    return Pod(uid, uid, created, ready, terminating=False, restarts=restarts)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20))
def test_the_cold_start_is_the_90th_percentile_by_nearest_rank(seconds: list[float]) -> None:
    """At least 90 % of recent pods were ready within the figure, and it is one that was measured."""
    starts = ColdStarts()
    starts.look(pod(str(i), 1e9 + 2000 * i, s) for i, s in enumerate(seconds))
    found = starts.seconds
    assert found is not None
    assert min(abs(found - s) for s in seconds) < 1e-3
    assert sum(s <= found + 1e-3 for s in seconds) >= math.ceil(0.9 * len(seconds))


def test_only_recent_pods_count() -> None:
    """Twenty pods later an old slow start is forgotten."""
    starts = ColdStarts()
    starts.look([pod("old", 0.0, 900.0)])
    starts.look([pod(str(i), 1000.0 + i, 10.0) for i in range(20)])
    assert starts.seconds == 10.0


def test_a_pod_is_measured_when_it_is_first_seen_ready() -> None:
    """A readiness that flaps later does not look like a slow start."""
    starts = ColdStarts()
    starts.look([pod("a", 1000.0, 10.0)])
    starts.look([pod("a", 1000.0, 500.0)])
    assert starts.seconds == 10.0


def test_restarted_and_unready_pods_tell_nothing() -> None:
    """Only a first start measures a cold start; until there is one, what the status remembers counts."""
    starts = ColdStarts(remembered=42.0)
    starts.look([pod("a", 1000.0, None), pod("b", 1000.0, 700.0, restarts=1)])
    assert starts.seconds == 42.0
    assert ColdStarts().seconds is None


def test_a_pod_is_read_as_the_api_serves_it() -> None:
    """Readiness, termination and restarts come from where Kubernetes keeps them."""
    item = {
        "metadata": {
            "uid": "u",
            "name": "chat-1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "deletionTimestamp": "2026-01-01T01:00:00Z",
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:30Z"}],
            "containerStatuses": [{"restartCount": 2}],
        },
    }
    read = pod_of(item)
    assert read.ready_since is not None
    assert read.ready_since - read.created == 90.0
    assert (read.terminating, read.ready, read.restarts) == (True, False, 2)
    assert pod_of({"metadata": item["metadata"], "status": {}}).ready_since is None


def test_endpoints_are_counted_once_and_absent_readiness_counts_as_ready() -> None:
    """Slices may repeat an address, and the API says that a missing condition means ready."""
    slices = [
        {
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": False}},
                {"addresses": ["10.0.0.2"], "conditions": {}},
            ]
        },
        {"endpoints": [{"addresses": ["10.0.0.2"], "conditions": {"ready": True}}]},
        {"endpoints": None},
    ]
    assert count(slices) == Endpoints(known=2, ready=1)
