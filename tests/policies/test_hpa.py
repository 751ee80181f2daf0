"""The HPA law as Kubernetes documents it: tolerance, highest metric, missing pods and metrics."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.forecasting import TokenSeries
from presage_policies.scaling import (
    HPA,
    Behavior,
    ConstrainState,
    HPAParameters,
    InstanceSignal,
    Limits,
    Observation,
    Rules,
    constrain,
)


def look(usages: list[float | None], *, unready: int = 0, waiting: float | None = 0.0) -> Observation:
    """Return pods with these KV uses (None = no metric), some more that are not ready, and a queue."""
    pods = tuple(InstanceSignal(f"pod{i}", ready=True, kv_usage=u) for i, u in enumerate(usages))
    return Observation(
        0.0,
        TokenSeries.empty(60, 0),
        None,
        len(usages) + unready,
        len(usages),
        pods,
        waiting_requests=waiting,
    )


def replicas(observation: Observation) -> int:
    """Return what the law wants at targets of 50 % KV and 4 waiting a replica."""
    policy = HPA(HPAParameters(0.5, 4.0))
    return policy.size(policy.initial(), observation)[1].replicas


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([0.5, 0.5], 2),
        ([0.54, 0.54], 2),
        ([0.46, 0.46], 2),
        ([0.6, 0.6], 3),
        ([1.0, 1.0], 4),
        ([0.2, 0.2], 1),
        ([0.0, 0.0], 0),
    ],
)
def test_ratio_and_tolerance(usages: list[float | None], expected: int) -> None:
    """Replicas are ⌈n·use/target⌉, unless the ratio lies within 10 % of one."""
    assert replicas(look(usages)) == expected


def test_a_pod_without_metrics_dampens() -> None:
    """A silent pod counts as idle when growing and as at target when shrinking, and never turns it round."""
    assert replicas(look([0.9, 0.9, None])) == 4  # 1.8 over 3 pods: 0.6/0.5 times 3, not 1.8 times 3
    assert replicas(look([0.1, 0.1, None])) == 2  # (0.2 + 0.5)/3/0.5 times 3
    assert replicas(look([0.6, None, None])) == 3  # turned round by the silent: stays


def test_unready_pods_count_as_coming() -> None:
    """Pods that are not ready count as idle when growing: no runaway while they load."""
    assert replicas(look([1.0, 1.0])) == 4
    assert replicas(look([1.0, 1.0], unready=2)) == 4
    assert replicas(look([0.2, 0.2], unready=2)) == 1


def test_the_highest_metric_wins() -> None:
    """The queue asks for more than KV use does, and gets it."""
    assert replicas(look([0.5, 0.5], waiting=20.0)) == 5
    assert replicas(look([1.0, 1.0], waiting=1.0)) == 4


def test_a_missing_metric_forbids_shrinking_only() -> None:
    """With one metric missing the law grows by the other and does not shrink; with none it holds."""
    assert replicas(look([1.0, 1.0], waiting=None)) == 4
    assert replicas(look([0.1, 0.1], waiting=None)) == 2
    assert replicas(look([None, None], waiting=40.0)) == 10
    policy = HPA()
    _, sizing = policy.size(policy.initial(), look([None, None], waiting=None))
    assert (sizing.replicas, sizing.code, sizing.hold_down) == (2, "MetricsUnavailable", True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.integers(0, 5))
def test_shrinking_never_grows(usages: list[float], unready: int) -> None:
    """Below target the law never asks for more than there are, above never for fewer."""
    wanted = replicas(look(list(usages), unready=unready))
    if sum(usages) / len(usages) < 0.5:
        assert wanted <= len(usages) + unready
    elif sum(usages) / len(usages) > 0.5:
        assert wanted >= len(usages)


def test_reason_and_code_say_what_happened() -> None:
    """The reason carries the figure and its target, the code the direction."""
    policy = HPA()
    _, sizing = policy.size(policy.initial(), replace(look([0.9, 0.9])))
    assert "90%" in sizing.reason
    assert "70%" in sizing.reason
    assert sizing.code == "AboveTarget"


def test_targets_are_checked() -> None:
    """Targets that make no sense are refused by the name of their field."""
    with pytest.raises(ValueError, match=r"hpa\.kvUsagePercent"):
        HPAParameters(kv_usage=0)
    with pytest.raises(ValueError, match=r"hpa\.queuedRequestsPerReplica"):
        HPAParameters(queued_per_replica=0)
    with pytest.raises(ValueError, match="has no target"):
        HPAParameters(kv_usage=None, queued_per_replica=None)


def test_either_metric_can_be_left_out() -> None:
    """A metric without a target is neither looked at nor missed."""
    by_kv, by_queue = HPA(HPAParameters(queued_per_replica=None)), HPA(HPAParameters(kv_usage=None))
    hot = look([0.95, 0.95], waiting=None)
    assert by_kv.size(by_kv.initial(), hot)[1].replicas == 3
    busy = look([None, None], waiting=20.0)
    assert by_queue.size(by_queue.initial(), busy)[1].replicas == 5
    assert not by_queue.size(by_queue.initial(), replace(busy, waiting_requests=1.0))[1].hold_down


def test_as_published_it_shrinks_by_behavior_alone() -> None:
    """Kubernetes knows no check of survivors: as published, one waiting request holds nobody."""
    quiet, limits = look([0.1, 0.1, 0.1, 0.1], waiting=1.0), Limits(1, 10, Behavior(up=Rules(), down=Rules()))
    quiet = replace(quiet, metrics_age_seconds=1.0)
    for bare, expected in ((False, 4), (True, 1)):
        law = HPA(HPAParameters(as_published=bare))
        _, sizing = law.size(law.initial(), quiet)
        assert constrain(ConstrainState.initial(), quiet, sizing, limits)[1].replicas == expected
