"""The result document: complete, ordered, and the same bytes however the runs came."""

import pytest
from presage_simulator.comparison import Comparison
from presage_simulator.statistics import written

from .made_up import compared


def test_the_order_in_which_runs_come_does_not_matter(made_up: Comparison) -> None:
    """Runs that finish in any order give the same bytes."""
    assert written(made_up.document()) == written(compared(seed=3).document())


def test_every_system_has_every_figure_with_its_interval(made_up: Comparison) -> None:
    """Each metric of each system is a mean and an interval that holds it; what is undefined is null."""
    systems = made_up.document()["systems"]
    assert list(systems) == ["ours", "theirs", "foresight"]
    for metrics in systems.values():
        low, high = metrics["replica_seconds"]["ci95"]
        assert low < metrics["replica_seconds"]["mean"] < high
        assert metrics["ready_before_needed"] == {"mean": None, "ci95": [None, None]}
        for name in ("slo_attainment", "ttft_p99_ms", "e2e_p99_ms", "mean_replicas", "goodput", "failed"):
            assert name in metrics


def test_differences_are_to_the_baseline(made_up: Comparison) -> None:
    """Every other system is compared with the baseline, absolutely and relatively, seed by seed."""
    paired = made_up.document()["paired"]
    assert set(paired) == {"ours", "foresight"}
    told = paired["ours"]["replica_seconds"]
    assert told["difference"] == {"mean": -100.0, "ci95": [-100.0, -100.0]}
    assert told["relative"]["mean"] == pytest.approx(-100 / 1105, rel=1e-3)


def test_each_point_of_a_grid_is_a_row(made_up: Comparison) -> None:
    """A grid's rows stand in its order with their settings, by their own seeds, apart from the systems."""
    grid = made_up.document()["grid"]
    assert list(grid) == ["theirs"]
    assert [row["point"] for row in grid["theirs"]] == [{"routing.bids": 1}, {"routing.bids": 2}]
    assert [row["metrics"]["replica_seconds"]["mean"] for row in grid["theirs"]] == [2100, 3100]
    assert grid["theirs"][0]["services"]["code"]["replica_seconds"]["mean"] == 2100


def test_services_are_told_apart(made_up: Comparison) -> None:
    """With several services each has figures of its own beside those of all requests."""
    services = made_up.document()["services"]
    assert set(services) == {"chat", "code"}
    assert services["code"]["systems"]["ours"]["requests"]["mean"] == 400


def test_waste_and_want_are_against_perfect_foresight_under_the_same_seed(made_up: Comparison) -> None:
    """Ours asks for fewer than foresight, so wastes nothing; foresight lacks nothing against itself."""
    systems = made_up.document()["systems"]
    assert systems["ours"]["wasted_replica_seconds"]["mean"] == 0
    assert systems["foresight"]["missing_replica_seconds"]["mean"] == 0
