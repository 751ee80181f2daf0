"""Who is looked after: one task per service, only while leading, and never for what is being deleted."""

import asyncio
import time
from typing import Any

from presage_operator.metrics import Metrics
from presage_operator.registry import STUCK_SECONDS, Registry


class Watched:
    """Stands where a Keeper stands: notes what it is told and runs until cancelled."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.running = False
        self.interval_seconds = 1.0
        self.alive_at = time.monotonic()
        self.number: dict[str, Any] | None = {"desiredReplicas": 3}

    def update(self, raw: dict[str, Any]) -> None:
        """Take in the object."""
        self.raw = raw

    def recommendation(self) -> dict[str, Any] | None:
        """Return the number."""
        return self.number

    async def run(self) -> None:
        """Run until cancelled."""
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False


class Made:
    """A registry whose keepers are remembered."""

    def __init__(self) -> None:
        self.keepers: list[Watched] = []
        self.registry = Registry(self._make)  # type: ignore[arg-type]  # Watched has what the registry uses

    def _make(self, raw: dict[str, Any]) -> Watched:
        self.keepers.append(Watched(raw))
        return self.keepers[-1]

    async def running(self) -> list[str]:
        """Return the uids that are looked after, once every task has had its turn."""
        await asyncio.sleep(0.01)
        return [keeper.raw["metadata"]["uid"] for keeper in self.keepers if keeper.running]


def obj(uid: str = "1", name: str = "chat", **metadata: Any) -> dict[str, Any]:
    """Return an object as a watch delivers it."""
    return {"metadata": {"namespace": "prod", "name": name, "uid": uid, "generation": 1, **metadata}}


async def test_only_a_leader_looks_after_services() -> None:
    """A standby knows the services and touches none; leading and losing the lead take effect at once."""
    made = Made()
    made.registry.event(None, obj("1", "a"))
    assert await made.running() == []
    made.registry.lead(leading=True)
    made.registry.event("ADDED", obj("2", "b"))
    assert await made.running() == ["1", "2"]
    made.registry.lead(leading=False)
    assert await made.running() == []
    made.registry.lead(leading=True)
    assert await made.running() == ["1", "2"]
    await made.registry.close()
    assert await made.running() == []


async def test_a_changed_service_keeps_its_task_and_a_deleted_one_loses_it() -> None:
    """MODIFIED reaches the running keeper; DELETED and a deletion that waits for others end it."""
    made = Made()
    made.registry.lead(leading=True)
    made.registry.event("ADDED", obj())
    made.registry.event("MODIFIED", obj(generation=2))
    assert len(made.keepers) == 1
    assert made.keepers[0].raw["metadata"]["generation"] == 2
    made.registry.event("MODIFIED", obj(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert await made.running() == []
    made.registry.event("DELETED", obj())
    made.registry.event("ADDED", obj("2"))
    assert await made.running() == ["2"]
    await made.registry.close()


async def test_a_service_made_anew_under_its_name_starts_afresh() -> None:
    """When the deletion was missed, another uid still means another service without the old one's memory."""
    made = Made()
    made.registry.lead(leading=True)
    made.registry.event("ADDED", obj("1"))
    made.registry.event(None, obj("2"))
    assert await made.running() == ["2"]
    await made.registry.close()


async def test_a_hanging_or_dead_keeper_fails_the_liveness_probe() -> None:
    """Liveness speaks of each service's loop, not only of the web server."""
    made = Made()
    made.registry.lead(leading=True)
    made.registry.event("ADDED", obj())
    await made.running()
    assert made.registry.trouble() is None
    made.keepers[0].alive_at -= STUCK_SECONDS + 5
    assert made.registry.trouble() == "the loop of prod/chat hangs"
    await made.registry.close()


async def test_a_standby_serves_what_the_leader_published() -> None:
    """Another autoscaler gets the same number from any replica; nobody makes one up."""
    made = Made()
    made.registry.event(None, {**obj(), "status": {"pools": [{"name": "main", "desiredReplicas": 5}]}})
    assert made.registry.recommendation("prod", "chat") == {"desiredReplicas": 5}
    assert made.registry.recommendation("prod", "other") is None
    made.registry.lead(leading=True)
    assert made.registry.recommendation("prod", "chat") == {"desiredReplicas": 3}
    made.keepers[0].number = None
    assert made.registry.recommendation("prod", "chat") is None
    await made.registry.close()


def test_a_forgotten_service_leaves_no_series() -> None:
    """Gauges and counters of a deleted service vanish, those of others stay."""
    metrics = Metrics()
    for name in ("chat", "code"):
        metrics.desired.labels("prod", name, "main").set(3)
        metrics.decisions.labels("prod", name, "main", "DemandMet").inc()
        metrics.pass_seconds.labels("prod", name, "main").observe(0.1)
    metrics.forget("prod", "chat")
    left = {
        sample.labels["name"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "name" in sample.labels
    }
    assert left == {"code"}


def claiming(name: str, created: str, mode: str = "Auto", target: str = "vllm") -> dict[str, Any]:
    """Return a service that scales a target."""
    raw = obj(name, name, creationTimestamp=created)
    return {**raw, "spec": {"scaling": {"mode": mode}, "pools": [{"scaleTargetRef": {"name": target}}]}}


def test_of_two_services_with_one_target_the_eldest_scales() -> None:
    """Never two writers: the younger is told who writes; who only recommends, or is alone, is free."""
    registry = Made().registry
    old, young = claiming("old", "2026-01-01T00:00:00Z"), claiming("young", "2026-01-02T00:00:00Z")
    others = [
        claiming("adviser", "2025-01-01T00:00:00Z", mode="Recommend"),
        claiming("else", "2025", target="x"),
    ]
    for raw in (old, young, *others):
        registry.event(None, raw)
    assert registry.rival(old) is None
    told = registry.rival(young)
    assert told is not None
    assert told.code == "TargetClaimed"
    assert "LLMService old" in told.message
    assert [registry.rival(other) for other in others] == [None, None]
    registry.event("DELETED", old)
    assert registry.rival(young) is None
    assert registry.rival({**obj(), "spec": {"scaling": {"mode": "Auto"}, "pools": []}}) is None
