"""Leader election, judged without a cluster: who may claim, and what a claim looks like."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from presage_operator.lease import LeaseSettings, Sighting, claimable, claimed

SETTINGS = LeaseSettings(namespace="presage", identity="me", duration_seconds=15)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def lease(holder: str, seconds: int = 15) -> dict[str, object]:
    """Return a lease as the API serves it."""
    return {"spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": "x"}}


@given(st.floats(0, 1e6), st.floats(0, 15))
def test_a_held_lease_cannot_be_claimed_before_it_expires(since: float, waited: float) -> None:
    """While another holder's lease has been seen unchanged for no longer than it lasts, it stays theirs."""
    assert not claimable(lease("other"), "me", since, min(since + waited, since + 15))


def test_expired_released_and_own_leases_can_be_claimed() -> None:
    """A lease is free when it ran out, was handed back, or is already this process's."""
    assert claimable(lease("other"), "me", 100.0, 115.1)
    assert claimable(lease(""), "me", 100.0, 100.0)
    assert claimable(lease("me"), "me", 100.0, 100.0)
    assert claimable({}, "me", 100.0, 100.0)


def test_taking_over_counts_a_transition_and_renewing_does_not() -> None:
    """LeaseTransitions and acquireTime move with the holder only."""
    taken = claimed(lease("other"), SETTINGS, NOON)
    assert taken["spec"]["leaseTransitions"] == 1
    assert taken["spec"]["acquireTime"] == "2026-01-01T12:00:00.000000Z"
    renewed = claimed(taken, SETTINGS, NOON.replace(hour=13))
    assert renewed["spec"]["leaseTransitions"] == 1
    assert renewed["spec"]["acquireTime"] == taken["spec"]["acquireTime"]
    assert renewed["spec"]["renewTime"] == "2026-01-01T13:00:00.000000Z"


def test_a_claim_keeps_the_version_it_was_read_at() -> None:
    """The API server can refuse a claim on a lease that somebody else wrote meanwhile."""
    read = {**lease(""), "metadata": {"resourceVersion": "42"}}
    assert claimed(read, SETTINGS, NOON)["metadata"]["resourceVersion"] == "42"


def test_expiry_counts_from_the_last_change_that_was_seen() -> None:
    """Seeing the same renewal again does not prolong it; seeing a new one does."""
    seen = Sighting()
    seen.look(lease("other"), 10.0)
    seen.look(lease("other"), 20.0)
    assert seen.since == 10.0
    fresh = lease("other")
    fresh["spec"] = {**fresh["spec"], "renewTime": "y"}  # type: ignore[dict-item]  # a plain mapping above
    seen.look(fresh, 30.0)
    assert seen.since == 30.0
