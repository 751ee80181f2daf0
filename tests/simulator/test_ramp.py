"""The committed ramp scenario, evenly spaced: the rival as published, ours above it with fewer replicas."""

from pathlib import Path

import pytest
from presage_cli.simulate.composition import Composition
from presage_simulator.runner import Experiment, Ran, run, tasks_of
from presage_simulator.scenario import load_scenario

RAMP = Path(__file__).parents[2] / "examples/scenarios/ramp.yaml"


@pytest.fixture(scope="module")
def ramp() -> dict[str, Ran]:
    """Return one run each of three systems, arrivals evenly spaced."""
    scenario = load_scenario(RAMP)
    tasks = tasks_of(scenario, ["presage", "keda-slo", "keda-slo-measured"])
    tasks = tuple(task for task in tasks if task.point == 0 and task.seed == 0)
    brought = run(Experiment(scenario, RAMP.parent), tasks, Composition())
    return {scenario.systems[ran.task.system].name: ran for ran in brought}


def test_the_published_law_does_as_published(ramp: dict[str, Ran]) -> None:
    """On predicted latencies: 93 to 98 % with 5.4 to 6.4 replicas; on measured ones: less."""
    predicted, measured = ramp["keda-slo"].figures, ramp["keda-slo-measured"].figures
    assert 0.93 <= predicted["slo_attainment"] <= 0.98  # type: ignore[operator]  # there were requests
    assert 5.4 <= predicted["mean_replicas"] <= 6.4  # type: ignore[operator]  # as above
    assert measured["slo_attainment"] < predicted["slo_attainment"]  # type: ignore[operator]  # as above


def test_ours_keeps_the_objectives_with_fewer(ramp: dict[str, Ran]) -> None:
    """Knowing no history: at least 99.5 % with at most 5.4 replicas."""
    ours = ramp["presage"].figures
    assert ours["slo_attainment"] >= 0.995  # type: ignore[operator]  # there were requests
    assert ours["mean_replicas"] <= 5.4  # type: ignore[operator]  # as above
