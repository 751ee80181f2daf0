"""Conditions and status: what moves when, and what is worth a write."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_crds import ConditionType, LLMServiceStatus
from presage_operator.conditions import ESSENTIAL, Finding, conditions, summary
from presage_operator.observe import Trouble
from presage_operator.report import condition_events, scale_event, troubled_status
from presage_operator.status import FIGURES_EVERY_SECONDS, StatusWriter, status_object

WELL = {kind: Finding(kind, True, "Fine", "") for kind in ConditionType}
truths = st.sampled_from([True, False, None])


def status(message: str = "", holds: bool | None = True, now: float = 1e9, **more: Any) -> LLMServiceStatus:
    """Return a status with one condition."""
    finding = Finding(ConditionType.METRICS_AVAILABLE, holds, "Because", message)
    made = conditions([finding], LLMServiceStatus(), 1, now)
    return LLMServiceStatus(conditions=made, **more)


@given(st.lists(truths, min_size=2, max_size=12))
def test_the_transition_time_moves_exactly_when_the_status_does(history: list[bool | None]) -> None:
    """Whatever reasons and messages do, lastTransitionTime is when the status last changed."""
    before, moved, last = LLMServiceStatus(), 0.0, object()
    for step, holds in enumerate(history):
        now = 1e9 + step
        finding = Finding(ConditionType.ROUTER_READY, holds, f"Step{step}", str(step))
        before = LLMServiceStatus(conditions=conditions([finding], before, step, now))
        moved, last = (moved, last) if holds is last else (now, holds)
        condition = before.conditions[0]
        assert condition.last_transition_time.timestamp() == moved
        assert (condition.observed_generation, condition.reason) == (step, f"Step{step}")


@given(st.fixed_dictionaries(dict.fromkeys(ESSENTIAL, truths)))
def test_ready_holds_only_when_everything_essential_does(state: dict[ConditionType, bool | None]) -> None:
    """Ready is true exactly when each essential condition is, and otherwise gives one of their reasons."""
    findings = {**WELL, **{k: Finding(k, holds, f"{k}Reason", "") for k, holds in state.items()}}
    ready = summary(findings)
    assert (ready.holds is True) == all(holds is True for holds in state.values())
    if ready.holds is not True:
        assert ready.reason in {f"{k}Reason" for k, holds in state.items() if holds is not True}


def test_a_service_without_a_forecast_or_in_recommend_mode_is_ready() -> None:
    """A new service has no history, and recommending is a choice: neither makes it unready."""
    findings = {
        **WELL,
        ConditionType.FORECAST_READY: Finding(ConditionType.FORECAST_READY, False, "TooLittleHistory", ""),
        ConditionType.SCALING_ACTIVE: Finding(ConditionType.SCALING_ACTIVE, False, "RecommendOnly", ""),
    }
    assert summary(findings).holds is True


def writer(stored: LLMServiceStatus) -> StatusWriter:
    """Return a writer that is only asked what is due."""
    return StatusWriter(None, "prod", "chat", stored)  # type: ignore[arg-type]  # nothing is written


def test_what_has_not_changed_is_not_written() -> None:
    """A pass that finds the same leaves the API alone, also after the status came back from the API."""
    made = status("5 tokens/s", desired_replicas=3)
    returned = LLMServiceStatus.model_validate_json(made.model_dump_json(by_alias=True, exclude_none=True))
    assert not writer(made).due(made, 0.0)
    assert not writer(returned).due(made, 0.0)


async def test_figures_alone_are_written_now_and_then_and_news_at_once() -> None:
    """A message that moves by a few tokens waits; a replica count or a condition does not."""

    class Api:
        async def apply(self, *_: Any) -> None:
            return

    keeping = StatusWriter(Api(), "prod", "chat", LLMServiceStatus())  # type: ignore[arg-type]  # one method suffices
    await keeping.write(status("5 tokens/s"), 100.0)
    assert not keeping.due(status("6 tokens/s"), 100.0 + FIGURES_EVERY_SECONDS / 2)
    assert keeping.due(status("6 tokens/s"), 100.0 + FIGURES_EVERY_SECONDS)
    assert keeping.due(status("5 tokens/s", desired_replicas=4), 100.1)
    assert keeping.due(status("5 tokens/s", holds=False), 100.1)


def test_the_applied_object_carries_nothing_but_the_status() -> None:
    """Server-side apply owns what it sends: the spec must not be in it."""
    sent = status_object("prod", "chat", status(desired_replicas=0))
    assert set(sent) == {"apiVersion", "kind", "metadata", "status"}
    assert sent["status"]["desiredReplicas"] == 0


def test_an_unreadable_object_keeps_its_replicas_and_says_what_to_mend() -> None:
    """Ready turns false with the error, and what was known of replicas and other conditions stays."""
    before = status(desired_replicas=5)
    after = troubled_status(7, before, Trouble("InvalidSpec", "spec.pools[0].maxReplicas is 'x'"), 2e9)
    ready = after.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.reason, ready.observed_generation) == ("False", "InvalidSpec", 7)
    assert "maxReplicas" in ready.message
    assert after.desired_replicas == 5
    assert after.condition("MetricsAvailable") is not None


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (status(holds=True), status(holds=False), [("Because", True)]),
        (status(holds=False), status(holds=True), [("Because", False)]),
        (status(holds=True), status("other words", holds=True), []),
        (LLMServiceStatus(), status(holds=True), []),
        (LLMServiceStatus(), status(holds=False), [("Because", True)]),
    ],
)
def test_events_tell_of_changes_only(
    before: LLMServiceStatus, after: LLMServiceStatus, told: list[tuple[str, bool]]
) -> None:
    """A condition that changes, or is bad from the start, makes an Event; new words do not."""
    assert [(e.reason, e.warning) for e in condition_events(before, after)] == told


def test_a_scale_event_names_direction_numbers_and_cause() -> None:
    """The Event says from how many to how many, and why."""
    event = scale_event(2, 5, "1200 tokens/s need 4.1 instances")
    assert (event.reason, event.warning) == ("ScaledUp", False)
    assert event.message == "2 → 5 replicas: 1200 tokens/s need 4.1 instances"
    assert scale_event(5, 2, "").reason == "ScaledDown"


def test_a_very_long_error_still_fits_the_condition() -> None:
    """The API bounds messages; a longer one is cut rather than refused."""
    after = troubled_status(1, LLMServiceStatus(), Trouble("InvalidSpec", "x" * 100_000), 1e9)
    assert len(after.conditions[0].message) <= 32_768
