"""Scenarios are read strictly, and what is wrong is named so that it can be mended."""

from pathlib import Path
from typing import Any

import pytest
from presage_simulator.scenario import ScenarioError, load_scenario, parse_scenario, points_of
from presage_simulator.scenario.reference import reference_page

from .scenarios import document, workload


def test_a_scenario_survives_its_own_json_form() -> None:
    """What is read, written out and read again is the same scenario."""
    scenario = parse_scenario(document(sweep={"workloads.chat.rateFactor": [1, 2]}))
    assert parse_scenario(scenario.as_object()) == scenario


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pool": {"max": "four"}}, "pool.max is 'four': must be a whole number"),
        ({"pool": {"min": 3, "max": 2}}, "min is 3, initial 3, max 2"),
        ({"polo": {}}, "polo is {}: unknown field"),
        ({"baseline": "three"}, "no system 'three': there are one, two"),
        ({"profile": None}, "chat has no profile"),
        ({"systems": []}, "systems is []: must have at least 1 items"),
        ({"workloads": [workload(), workload()]}, "'chat' is there twice"),
        ({"workloads": [workload(lengths=None)]}, "add how long they are"),
        ({"workloads": [workload(trace={"path": "x.parquet"})]}, "given: trace and stages"),
        ({"workloads": [workload(history=5)]}, "only 0 s precede"),
        ({"classes": [{"name": "fast", "share": 0.5}]}, "add up to 0.5: make them 1"),
        ({"pool": {"max": 2, "coldStart": {"p50Seconds": 9, "p90Seconds": 8}}}, "p90Seconds is 8"),
        ({"systems": [{"name": "a", "lengths": {"source": "Oracle", "sigma": 1}}]}, "belongs to NoisyOracle"),
        ({"systems": [{"name": "a", "routing": {"binding": "late"}}]}, "must be one of 'Late' or 'Early'"),
        ({"systems": [{"name": "one", "grid": {"routing.bid": [1]}}]}, "routing.bid is 1: unknown field"),
        ({"sweep": {"workloads.code.rateFactor": [1]}}, "there is no 'code'; there are chat"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], told: str) -> None:
    """The error names the field, the value and the fix."""
    with pytest.raises(ScenarioError) as error:
        parse_scenario(document(**changes))
    assert told in str(error.value)


def test_files_that_are_no_scenario_are_refused(tmp_path: Path) -> None:
    """A missing file, broken YAML and a list are three clear errors that name the file."""
    broken, listed = tmp_path / "broken.yaml", tmp_path / "list.yaml"
    broken.write_text("a: [")
    listed.write_text("- a\n")
    for path, told in ((tmp_path / "none.yaml", "cannot be read"), (broken, "no"), (listed, "a mapping")):
        with pytest.raises(ScenarioError, match=told) as error:
            load_scenario(path)
        assert str(path) in str(error.value)


def test_a_grid_is_every_combination_or_what_is_listed() -> None:
    """A mapping of lists gives their product, a list of points gives itself, and labels tell them apart."""
    product = points_of({"routing.bids": [1, 2], "scaling.parameters.level": [0.5, 0.9]})
    assert [point.label for point in product] == [
        "bids=1,level=0.5",
        "bids=1,level=0.9",
        "bids=2,level=0.5",
        "bids=2,level=0.9",
    ]
    listed = points_of([{"replicas": {"chat": 3, "code": 1}}])
    assert [point.label for point in listed] == ["replicas=3/1"]
    assert points_of(None) == ()


def test_points_change_only_what_they_name() -> None:
    """A sweep's and a grid's points leave the scenario that they were made from untouched."""
    raw = document(sweep={"workloads.chat.rateFactor": [1, 3]})
    raw["systems"][0]["grid"] = {"routing.bids": [0, 2]}
    scenario = parse_scenario(raw)
    factors = [point.workloads[0].rate_factor for _, point in scenario.swept()]
    bids = [system.routing.bids for _, system in scenario.variants(scenario.systems[0])]
    assert (factors, bids) == ([1, 3], [0, 2])
    assert scenario.workloads[0].rate_factor == 1
    assert scenario.systems[0].routing.bids == 3


def test_the_reference_is_up_to_date() -> None:
    """docs/reference/scenario.md says what the models read."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "scenario.md"
    assert page.read_text("utf-8") == reference_page()
