"""Reading is strict: types, unknown fields, bounds and cross-field rules, each error naming its field."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_crds import (
    Condition,
    ConditionStatus,
    InvalidObjectError,
    LLMService,
    LLMServiceStatus,
    PoolStatus,
    ScalingMode,
)

MINIMAL: dict[str, Any] = {
    "apiVersion": "presage.dev/v1alpha1",
    "kind": "LLMService",
    "metadata": {"name": "chat", "namespace": "ml", "uid": "u-1"},
    "spec": {
        "model": "m",
        "pools": [{"name": "h100", "scaleTargetRef": {"name": "chat"}, "maxReplicas": 16}],
        "metrics": {"prometheus": {"address": "http://prometheus:9090"}},
    },
}


def with_spec(**changes: Any) -> dict[str, Any]:
    """Return the least manifest with parts of its specification replaced."""
    raw = copy.deepcopy(MINIMAL)
    raw["spec"].update(changes)
    return raw


def problems(raw: dict[str, Any]) -> list[str]:
    """Return what is wrong with an object that must be refused."""
    with pytest.raises(InvalidObjectError) as caught:
        LLMService.from_object(raw)
    return [str(problem) for problem in caught.value.problems]


def test_defaults_are_the_documented_ones() -> None:
    """The least manifest gives a service that advises only and is routed to its own name."""
    service = LLMService.from_object(MINIMAL)
    assert service.spec.scaling.mode is ScalingMode.RECOMMEND
    assert service.spec.replicas is None
    assert service.spec.pools[0].min_replicas == 1
    assert service.service_name == "chat"


def test_zero_replicas_mean_automatic() -> None:
    """`replicas: 0`, which the API server fills in, is read as no pin; any other number is one."""
    assert LLMService.from_object(with_spec(replicas=0)).spec.replicas is None
    assert LLMService.from_object(with_spec(replicas=2)).spec.replicas == 2


def test_the_reference_lets_owners_be_deleted_first() -> None:
    """What the operator owns on a service's behalf never holds up the service's deletion."""
    reference = LLMService.from_object(MINIMAL).reference()
    assert reference["uid"] == "u-1"
    assert reference["blockOwnerDeletion"] is False


def test_every_problem_is_told_at_once() -> None:
    """All faults of one object are reported together, each with field, value and fix."""
    found = problems(with_spec(model="", replicas=-1, routing={"policy": "Random"}, metrics={}))
    policies = "'LeastBid', 'RoundRobin', 'LeastRequest' or 'PrefixTokenLoad'"
    assert found == [
        "spec.model is '': must have at least 1 characters",
        "spec.replicas is -1: must be at least 0",
        f"spec.routing.policy is 'Random': must be one of {policies}",
        "spec.metrics.prometheus: required; add it",
    ]


def test_a_bad_item_does_not_also_make_its_list_too_short() -> None:
    """A fault inside a pool is reported at the pool's field alone."""
    pools = [{"name": "h100", "scaleTargetRef": {"name": "chat"}, "maxReplicas": 0}]
    assert problems(with_spec(pools=pools)) == ["spec.pools[0].maxReplicas is 0: must be at least 1"]


def test_no_pools_is_refused() -> None:
    """An empty list of pools is refused at the list."""
    assert "spec.pools is []: must have at least 1 items" in problems(with_spec(pools=[]))


@pytest.mark.parametrize("value", ["3", 3.5, True, [3]])
def test_numbers_must_be_whole_numbers(value: object) -> None:
    """A count in quotes, a fraction, a truth value or a list is refused."""
    assert any(found.startswith("spec.replicas") for found in problems(with_spec(replicas=value)))


def test_long_values_are_cut_in_messages() -> None:
    """An error quotes a huge value only in part."""
    (found,) = problems(with_spec(model="m" * 5000))
    assert len(found) < 200


def test_what_is_no_json_is_refused() -> None:
    """An object with a set in it is refused as an invalid object, not with a crash."""
    cyclic: dict[str, Any] = copy.deepcopy(MINIMAL)
    cyclic["spec"]["model"] = cyclic
    assert problems(cyclic)[0].startswith("object: must be JSON")


def test_newer_status_fields_are_passed_over() -> None:
    """A status written by a newer operator is read as far as it is known."""
    raw = copy.deepcopy(MINIMAL) | {"status": {"replicas": 2, "novelty": {"x": 1}}}
    assert LLMService.from_object(raw).status.replicas == 2


def test_status_round_trip_keeps_kubernetes_times() -> None:
    """A status is written with whole seconds in UTC and read back unchanged."""
    condition = Condition.model_validate_json(
        '{"type": "Ready", "status": "True", "reason": "AsWished", "message": "3 of 3",'
        ' "observedGeneration": 4, "lastTransitionTime": "2026-01-01T01:00:00.75+01:00"}'
    )
    status = LLMServiceStatus(
        observed_generation=4,
        replicas=3,
        conditions=(condition,),
        pools=(PoolStatus(name="h100", current_replicas=3, last_scale_time=condition.last_transition_time),),
    )
    written = status.as_object()
    assert written["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert "forecast" not in written
    read = LLMService.from_object(copy.deepcopy(MINIMAL) | {"status": written}).status
    assert read == status
    ready = read.condition("Ready")
    assert ready is not None
    assert ready.status is ConditionStatus.TRUE
    assert read.condition("Novel") is None
    pool = read.pool("h100")
    assert pool is not None
    assert pool.current_replicas == 3
    assert read.pool("l4") is None


@given(low=st.integers(1, 40), high=st.integers(1, 40))
def test_min_and_max_agree_or_are_refused(low: int, high: int) -> None:
    """A pool is accepted exactly when minReplicas does not exceed maxReplicas."""
    pool = {"name": "p", "scaleTargetRef": {"name": "t"}, "minReplicas": low, "maxReplicas": high}
    raw = with_spec(pools=[pool])
    if low <= high:
        assert LLMService.from_object(raw).spec.pools[0].max_replicas == high
    else:
        assert problems(raw)[0].startswith("spec.pools[0].minReplicas")


@given(window=st.integers(1, 3600), history=st.integers(86_400, 31_622_400))
def test_windows_are_bounded(window: int, history: int) -> None:
    """However short the window and long the history, no more windows are read than one query gives."""
    raw = with_spec(scaling={"forecast": {"windowSeconds": window, "historySeconds": history}})
    assert 1 <= LLMService.from_object(raw).spec.scaling.forecast.windows <= 11_000
