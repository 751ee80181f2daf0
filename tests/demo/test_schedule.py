"""The schedule and the history: the same for both services, true to the series, never overlapping."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_cli.demo.history import history_lines
from presage_cli.demo.plan import Plan, PlanError, load_plan
from presage_cli.demo.schedule import (
    build_schedule,
    offered_tokens,
    request_rates,
    stratified_picks,
    whole_counts,
)
from presage_cli.demo.traces import Lengths, Shape, TraceError


def test_the_schedule_is_deterministic(shape: Shape, lengths: Lengths, plan: Plan) -> None:
    """The same plan gives the same requests to the digit; another seed gives others."""
    first = build_schedule(shape, lengths, plan)
    assert first == build_schedule(shape, lengths, plan)
    assert first != build_schedule(shape, lengths, plan.model_copy(update={"seed": plan.seed + 1}))


def test_requests_follow_the_series(shape: Shape, lengths: Lengths, plan: Plan) -> None:
    """Each window holds the series' number of requests within one, in time order, warm-up included."""
    arrivals = build_schedule(shape, lengths, plan)
    instants = np.array([arrival.at for arrival in arrivals])
    assert (np.diff(instants) >= 0).all()
    assert instants[0] >= -plan.lead_seconds
    assert instants[-1] < plan.replay_seconds
    first = plan.trace.first_window - plan.trace.lead_windows
    expected = request_rates(shape, plan)[first:] * plan.window_seconds
    counts, _ = np.histogram(
        instants,
        bins=len(expected),
        range=(-plan.lead_seconds, plan.replay_seconds),
    )
    assert np.abs(counts - expected).max() <= 1


def test_the_load_needs_several_instances_and_at_most_the_allowed(
    shape: Shape, lengths: Lengths, plan: Plan
) -> None:
    """The offered load runs from under one instance to the planned peak, each window close to the series."""
    offered = offered_tokens(build_schedule(shape, lengths, plan), plan) / plan.capacity.total
    assert offered[:4].mean() < 1
    assert 3 < offered.max() < plan.max_replicas
    rates = request_rates(shape, plan)[plan.trace.first_window :]
    series = rates * (plan.mean_prompt_tokens + plan.mean_output_tokens) / plan.capacity.total
    busy = series > 2
    assert np.abs(offered[busy] / series[busy] - 1).max() < 0.2


@pytest.mark.parametrize("count", [1, 7, 39])
def test_the_mix_of_lengths_is_the_trace(lengths: Lengths, count: int) -> None:
    """The requests of a window take one from each equal share of the trace; many windows give its mean."""
    rng = np.random.default_rng(7)
    total = lengths.prompt_tokens + lengths.output_tokens
    rank = np.argsort(np.argsort(total, kind="stable"), kind="stable")
    windows = [stratified_picks(lengths, count, rng) for _ in range(3000 // count)]
    for picks in windows:
        shares = np.sort(rank[picks]) * count / len(total) - np.arange(count)
        assert shares.min() >= -count / len(total)
        assert shares.max() < 1
    assert total[np.concatenate(windows)].mean() == pytest.approx(total.mean(), rel=0.05)


def test_a_window_without_requests_takes_none(lengths: Lengths) -> None:
    """No request, no pair."""
    assert stratified_picks(lengths, 0, np.random.default_rng(1)).tolist() == []


@given(st.lists(st.floats(min_value=0, max_value=200), min_size=1, max_size=60))
def test_rounding_keeps_the_running_total(expected: list[float]) -> None:
    """Whole counts are never negative and their running total is within one request of the exact one."""
    counts = whole_counts(np.array(expected))
    assert (counts >= 0).all()
    assert np.abs(np.cumsum(counts) - np.cumsum(expected)).max() <= 0.5 + 1e-6


def test_a_plan_beyond_the_series_is_refused(shape: Shape, lengths: Lengths, plan: Plan) -> None:
    """Replaying windows that the slice does not hold is an error that says so."""
    beyond = plan.trace.model_copy(update={"windows": plan.trace.windows + 1})
    with pytest.raises(TraceError, match="as history"):
        build_schedule(shape, lengths, plan.model_copy(update={"trace": beyond}))


def parse(lines: list[str]) -> dict[str, list[tuple[float, float]]]:
    """Sort samples by series, as (time, value)."""
    series: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        if not line.startswith("#"):
            name, value, at = line.rsplit(" ", 2)
            series.setdefault(name, []).append((float(at), float(value)))
    return series


def test_history_is_the_same_for_both_and_ends_before_the_replay(shape: Shape, plan: Plan) -> None:
    """Both services get equal counters that only rise and hold nothing of the replayed windows."""
    lines = list(history_lines(shape, plan, starts_at=1e9, until=2e9))
    assert lines[-1] == "# EOF"
    series = parse(lines)
    predictive = {name: samples for name, samples in series.items() if 'service="predictive"' in name}
    reactive = {name: samples for name, samples in series.items() if 'service="reactive"' in name}
    assert len(predictive) == len(reactive) == 5
    for name, samples in predictive.items():
        assert samples == reactive[name.replace("predictive", "reactive")]
        times, values = np.array(samples).T
        assert (np.diff(values) >= 0).all()
        assert times.max() < 1e9 - plan.lead_seconds
        assert times.min() == 1e9 - plan.trace.first_window * plan.window_seconds


def test_history_has_the_rates_of_the_series(shape: Shape, plan: Plan) -> None:
    """In the history a window's rate is the series' on the replay's scale, and it stops when told to."""
    until = 1e9 - 100.0
    series = parse(list(history_lines(shape, plan, starts_at=1e9, until=until)))
    (samples,) = [s for name, s in series.items() if "requests_total" in name and "predictive" in name]
    times, values = np.array(samples).T
    assert times.max() < until
    window = 300
    start = 1e9 + (window - plan.trace.first_window) * plan.window_seconds
    rise = np.interp(start + plan.window_seconds, times, values) - np.interp(start, times, values)
    assert rise / plan.window_seconds == pytest.approx(request_rates(shape, plan)[window], abs=1e-3)


def test_a_plan_survives_its_file(tmp_path: Path, plan: Plan) -> None:
    """What the pods read from the ConfigMap is the plan that the demo made."""
    path = tmp_path / "plan.json"
    path.write_text(plan.model_dump_json())
    assert load_plan(path) == plan


def test_a_bad_plan_is_refused_by_field(tmp_path: Path, plan: Plan) -> None:
    """A plan with a wrong value is refused with file, field and value."""
    path = tmp_path / "plan.json"
    path.write_text(plan.model_copy(update={"max_tokens": -3}).model_dump_json())
    with pytest.raises(PlanError, match=r"plan\.json: max_tokens is -3"):
        load_plan(path)
