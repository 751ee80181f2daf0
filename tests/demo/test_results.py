"""The figures of result.json, on runs written by hand."""

from dataclasses import replace

import numpy as np
import pytest
from presage_cli.demo.plan import Plan
from presage_cli.demo.records import Outcome, PredictedLength, RequestRecord, parse_line
from presage_cli.demo.results import Run, definitions, percentile, result_document, verdict
from presage_cli.demo.scaleups import Load, find_scale_ups, instances_needed
from presage_cli.demo.timeline import ServiceTimeline, Step, Timeline
from presage_simulator.pool_figures import share_in_time

START = 1000.0
KEYS = {
    "requests",
    "failed",
    "lost",
    "ttft_p50_ms",
    "ttft_p99_ms",
    "tpot_p99_ms",
    "e2e_p99_ms",
    "slo_attainment",
    "replica_seconds",
    "scale_ups",
    "ready_before_needed",
    "time_scale",
    "trace",
    "peak_replicas",
    "forecast_wape",
    "forecast_coverage90",
    "length_mae",
    "length_coverage90",
}


def record(
    service: str,
    number: int,
    ttft: float | None = 100.0,
    tpot: float | None = 20.0,
    *,
    outcome: Outcome = Outcome.COMPLETED,
    at: float = 1.0,
) -> RequestRecord:
    """Make one request; completed ones end after a second."""
    e2e = 1000.0 + number if outcome is Outcome.COMPLETED else None
    return RequestRecord(service, number, at, outcome, 200, "", 0.1, ttft, tpot, e2e, 10, 10)


def run_of(plan: Plan, records: list[RequestRecord], timeline: Timeline | None = None) -> Run:
    """Make a run with a load that never needs a second instance."""
    offered = (0.5 * plan.capacity.total,) * plan.trace.windows
    timeline = timeline or Timeline(plan.service_names)
    for name in plan.service_names:
        timeline.pod_seen(name, f"{name}-0", START - 50, ready=True)
    return Run(plan, START, offered, tuple(records), timeline, 1.0, 2.0)


def test_the_document_has_the_agreed_keys(plan: Plan) -> None:
    """Both services report every agreed figure, and each figure family has a definition."""
    document = result_document(
        run_of(plan, [record(name, 1) for name in plan.service_names]),
    )
    for name in ("predictive", "reactive"):
        assert set(document[name]) >= KEYS
        assert document[name]["time_scale"] == plan.trace.scale
        assert "Azure" in document[name]["trace"]
    families = {key.split("_p")[0] for key in KEYS}
    assert {"ttft", "tpot", "e2e"} <= families
    assert set(definitions(plan)) >= {"lost", "failed", "slo_attainment", "ready_before_needed", "time_scale"}


def test_failed_lost_and_slow_requests_all_miss(plan: Plan) -> None:
    """Attainment is over all requests: slow by either objective, failed and lost ones miss."""
    objectives = plan.objectives
    records = [
        record("predictive", 0),
        record("predictive", 1, tpot=None),
        record("predictive", 2, ttft=objectives.ttft_milliseconds + 1),
        record("predictive", 3, tpot=objectives.tpot_milliseconds + 1),
        record("predictive", 4, ttft=None, tpot=None, outcome=Outcome.FAILED),
        record("predictive", 5, outcome=Outcome.LOST),
        record("predictive", 6, at=-3.0),  # warm-up
        record("predictive", 7, ttft=float(objectives.ttft_milliseconds)),  # just met
    ]
    figures = result_document(run_of(plan, records))["predictive"]
    assert figures["requests"] == 7
    assert (figures["failed"], figures["lost"]) == (1, 1)
    assert figures["slo_attainment"] == pytest.approx(3 / 7, abs=1e-4)
    assert figures["e2e_p99_ms"] == 1007.0


def test_without_requests_nothing_is_claimed(plan: Plan) -> None:
    """A service that got no request has no percentile and no attainment, rather than a good one."""
    figures = result_document(run_of(plan, []))["reactive"]
    assert figures["requests"] == 0
    assert figures["slo_attainment"] is None
    assert figures["ttft_p99_ms"] is None
    assert figures["ready_before_needed"] is None


def test_percentiles_are_nearest_rank() -> None:
    """The nearest-rank percentile is a value that occurred; of nothing there is none."""
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 99) == 99
    assert percentile(values, 50) == 50
    assert percentile([7.0], 99) == 7
    assert percentile([], 99) is None


def test_replica_seconds_count_cold_starts_and_only_the_part_that_counts(plan: Plan) -> None:
    """A pod costs from creation to deletion, clipped to the part that counts, ready or not."""
    timeline = Timeline(plan.service_names)
    timeline.pod_seen("reactive", "a", START - 10, ready=True)  # there all along
    timeline.pod_seen("reactive", "b", START + 20, ready=False)  # never ready
    timeline.pod_gone("reactive", "b", START + 50)
    timeline.pod_seen("reactive", "c", START + 20, ready=False)
    end = START + 100
    line = timeline.services["reactive"]
    assert line.replica_seconds(START, end) == 100 + 30 + 80
    assert line.peak_replicas(START, end) == 3
    assert line.peak_replicas(START, START + 10) == 1


def timeline_of(asked: list[tuple[float, int]], ready: list[tuple[float, int]]) -> ServiceTimeline:
    """Make a service's timeline from (seconds, value) pairs."""
    return ServiceTimeline(
        asked=[Step(START + at, value) for at, value in asked],
        ready=[Step(START + at, value) for at, value in ready],
    )


LOAD = Load(START, 10.0, np.array([50, 90, 120, 150, 210, 260, 150, 80, 120, 80], dtype=float))
END = START + 100


def test_a_scale_up_ahead_of_the_load_is_in_time() -> None:
    """Ready before the window in which load first exceeded the former capacity: in time."""
    line = timeline_of([(-20, 1), (5, 2), (25, 3)], [(-10, 1), (18, 2), (39, 3)])
    ups = find_scale_ups(line, LOAD, 100.0, START, END)
    assert [(up.before, up.after, up.in_time) for up in ups] == [(1, 2, True), (2, 3, True)]
    assert [up.needed for up in ups] == [START + 20, START + 40]
    assert share_in_time(ups) == 1


def test_a_scale_up_behind_the_load_is_late() -> None:
    """Ready a second into the window that needed it, or asked for only then: late."""
    line = timeline_of([(-20, 1), (5, 2), (41, 3)], [(-10, 1), (21, 2), (52, 3)])
    ups = find_scale_ups(line, LOAD, 100.0, START, END)
    assert [up.in_time for up in ups] == [False, False]
    assert share_in_time(ups) == 0


def test_a_step_of_two_needs_all_its_pods() -> None:
    """A scale-up from 1 to 3 is in time only when the third pod, too, is ready before the excess."""
    late = timeline_of([(-20, 1), (5, 3)], [(-10, 1), (15, 2), (25, 3)])
    early = timeline_of([(-20, 1), (5, 3)], [(-10, 1), (15, 2), (19, 3)])
    assert share_in_time(find_scale_ups(late, LOAD, 100.0, START, END)) == 0
    assert share_in_time(find_scale_ups(early, LOAD, 100.0, START, END)) == 1


def test_pods_that_never_came_are_late_even_if_never_needed() -> None:
    """A scale-up whose pods never got ready is not in time, whatever the load did."""
    line = timeline_of([(-20, 3), (5, 4)], [(-10, 3)])
    (up,) = find_scale_ups(line, LOAD, 100.0, START, END)
    assert up.needed is None
    assert not up.in_time


def test_a_superfluous_scale_up_is_in_time_but_says_so() -> None:
    """A scale-up whose former capacity was never exceeded counts as in time, with no need stated."""
    line = timeline_of([(-20, 3), (5, 4)], [(-10, 3), (12, 4)])
    (up,) = find_scale_ups(line, LOAD, 100.0, START, END)
    assert up.in_time
    assert up.needed is None


def test_a_second_rise_is_judged_by_itself() -> None:
    """After coming down to 1 at 72 s, the next step up answers the excess at 80 s, not the first one."""
    line = timeline_of([(-20, 1), (5, 2), (72, 1), (74, 2)], [(-10, 1), (15, 2), (72, 1), (79, 2)])
    ups = find_scale_ups(line, LOAD, 100.0, START, END)
    assert [up.needed for up in ups] == [START + 20, START + 80]
    assert [up.in_time for up in ups] == [True, True]


def test_scale_ups_outside_the_part_that_counts_are_left_out() -> None:
    """Steps before the start or after the end are no scale-ups of the run; scale-downs never are."""
    line = timeline_of([(-20, 1), (-5, 2), (60, 1), (120, 2)], [(-10, 1), (-1, 2)])
    assert find_scale_ups(line, LOAD, 100.0, START, END) == []


def test_needed_instances_round_up() -> None:
    """Each window needs the instances whose capacity covers it, at least one."""
    assert instances_needed(LOAD, 100.0) == [1, 1, 2, 2, 3, 3, 2, 1, 2, 1]


def test_the_timeline_follows_readiness_and_deletion() -> None:
    """Ready counts rise and fall with pods; a pod keeps its first readiness as its cold start."""
    timeline = Timeline(("a", "b"))
    timeline.pod_seen("a", "x", 1.0, ready=False)
    timeline.pod_seen("a", "x", 4.0, ready=True)
    timeline.pod_seen("a", "x", 5.0, ready=False)
    timeline.pod_seen("a", "x", 6.0, ready=True)
    timeline.pod_gone("a", "x", 9.0)
    line = timeline.services["a"]
    assert [(step.at, step.value) for step in line.ready] == [(1, 0), (4, 1), (5, 0), (6, 1), (9, 0)]
    assert (line.pods["x"].created, line.pods["x"].ready, line.pods["x"].gone) == (1, 4, 9)


def test_the_verdict_names_what_went_wrong(plan: Plan) -> None:
    """A run that lost a request, or in which the policy did not help, is called so; a good one is not."""
    slow = plan.objectives.ttft_milliseconds * 2.0
    timeline = Timeline(plan.service_names)
    timeline.replicas_asked("predictive", 1, START - 60)
    timeline.replicas_asked("predictive", 2, START + 5)
    timeline.pod_seen("predictive", "predictive-0", START - 50, ready=True)
    timeline.pod_seen("predictive", "predictive-1", START + 15, ready=True)
    good = run_of(plan, [record("predictive", 1), record("reactive", 1, ttft=slow)], timeline)
    assert verdict(result_document(good), plan) == []
    bad = run_of(plan, [record("predictive", 1, outcome=Outcome.LOST), record("reactive", 1)])
    faults = verdict(result_document(bad), plan)
    assert any("lost 1" in fault for fault in faults)
    assert any("did not attain" in fault for fault in faults)
    assert any("ready_before_needed" in fault for fault in faults)


def test_an_ablation_that_changed_nothing_is_called_so(ablation: Plan) -> None:
    """Equal attainment at equal cost shows no use of what was left out; a dearer ablation does."""
    first, second = ablation.service_names
    records = [record(name, 1) for name in (first, second)]
    (fault,) = (
        text for text in verdict(result_document(run_of(ablation, records)), ablation) if second in text
    )
    assert "neither attained more" in fault
    dearer = Timeline(ablation.service_names)
    dearer.pod_seen(second, f"{second}-1", START + 10, ready=True)
    document = result_document(run_of(ablation, records, dearer))
    assert not any(second in text for text in verdict(document, ablation))


def test_predictions_are_judged_against_what_came(plan: Plan) -> None:
    """Length figures compare answers with what their front explained; forecast figures are the operator's."""
    timeline = Timeline(plan.service_names)
    timeline.accuracy_seen("predictive", 0.12, 0.9)
    told = [PredictedLength(5, 20, 30), PredictedLength(1, 10, 12), PredictedLength(11, 12, 13)]
    records = [replace(record("predictive", n), predicted=each) for n, each in enumerate(told)]
    document = result_document(run_of(plan, [*records, record("reactive", 0)], timeline))
    figures = document["predictive"]
    assert (figures["forecast_wape"], figures["forecast_coverage90"]) == (0.12, 0.9)
    assert figures["length_mae"] == pytest.approx((10 + 0 + 2) / 3, abs=0.05)
    assert figures["length_coverage90"] == pytest.approx(2 / 3, abs=1e-4)
    reactive = document["reactive"]
    assert reactive["forecast_wape"] is reactive["length_mae"] is reactive["length_coverage90"] is None


def test_a_record_survives_the_log(plan: Plan) -> None:
    """What the load generator writes of a request is read back the same, prediction included."""
    told = replace(record("predictive", 1), predicted=PredictedLength(1.5, 2.5, 3.5))
    assert parse_line(told.as_line()) == told
    assert parse_line(record("predictive", 2).as_line()) == record("predictive", 2)


def test_explanations_that_say_nothing_count_as_none() -> None:
    """A front that explains no length, or garbage, leaves the prediction unknown."""
    assert PredictedLength.explained(None) is None
    assert PredictedLength.explained("{not json") is None
    assert PredictedLength.explained('{"predicted_output_tokens": null}') is None
    told = '{"predicted_output_tokens": {"mean": 9, "p05": 1, "p50": 8, "p90": 15, "p95": 20}}'
    assert PredictedLength.explained(told) == PredictedLength(1, 8, 20)
