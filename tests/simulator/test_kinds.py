"""Scenarios with a kind of their own: read strictly, run, and told in the shape of every result."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from presage_simulator.data import data_folder
from presage_simulator.iterations.goodput import highest_rate
from presage_simulator.kinds import KindExperiment, experiment_of_kind
from presage_simulator.scenario import ScenarioError

EXAMPLES = Path(__file__).parents[2] / "examples" / "scenarios"


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip where the recorded lengths are missing."""
    try:
        data_folder()
    except ScenarioError as error:
        pytest.skip(str(error))


def changed(folder: Path, name: str, **fields: Any) -> Path:
    """Write a committed scenario with some fields changed."""
    document = yaml.safe_load((EXAMPLES / name).read_text("utf-8")) | fields
    path = folder / name
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


def short_niyama(folder: Path) -> KindExperiment:
    """Return Niyama's scenario with few requests, few replicas and one variant."""
    load = {"lengths": "data:traces/azure2023_code.parquet", "requestsPerSecond": 12.0, "requests": 600}
    recorded = {key: load[key] for key in ("lengths", "requestsPerSecond")} | {"arrivals": "Recorded"}
    variants = [{"name": "recorded", "systems": ["edf"], "goodput": False, "load": recorded}]
    path = changed(
        folder,
        "niyama.yaml",
        load=load,
        replicas=4,
        seeds=2,
        variants=variants,
        goodput={"requests": 300, "violations": 0.01, "atMost": 50, "within": 5},
        systems=[
            {"name": "edf", "scheduler": {"order": "EDF", "chunkTokens": 256}, "replicas": [3]},
            {
                "name": "silo",
                "silos": [
                    {"class": name, "scheduler": {"order": "FCFS", "chunkTokens": 256}}
                    for name in ("interactive", "batch-10min", "batch-30min")
                ],
            },
            {
                "name": "even",
                "silos": [
                    {"class": name, "replicas": count, "scheduler": {"order": "FCFS", "chunkTokens": 256}}
                    for name, count in (("interactive", 2), ("batch-10min", 1), ("batch-30min", 1))
                ],
            },
        ],
    )
    experiment = experiment_of_kind(path)
    assert experiment is not None
    return experiment


@pytest.mark.usefixtures("lengths")
def test_iterations_scenario_gives_every_figure_with_its_interval(tmp_path: Path) -> None:
    """A run brings each system's figures at each number of replicas, differences, and the variants'."""
    experiment = short_niyama(tmp_path)
    runs = list(experiment.run(experiment.tasks()))
    document = experiment.document(runs)
    assert set(document["systems"]) == {"edf", "silo", "even"}
    assert document["systems"]["edf"]["violations"]["ci95"][0] is not None
    assert document["systems"]["edf"]["goodput_per_replica"]["mean"] > 1.0
    assert "goodput_per_replica" not in document["systems"]["silo"]
    assert document["systems"]["silo"]["mean_replicas"]["mean"] == 4.0
    missed = {name: document["systems"][name]["violations"]["mean"] for name in ("silo", "even")}
    assert missed["silo"] <= missed["even"]
    assert [point["values"] for point in document["points"]] == [{"replicas": 3}]
    assert set(document["points"][0]["systems"]) == {"edf"}
    assert set(document["variants"]["recorded"]["systems"]) == {"edf"}
    recorded = document["variants"]["recorded"]["systems"]["edf"]["requests"]["mean"]
    assert recorded > document["systems"]["edf"]["requests"]["mean"]
    assert "violations" in document["paired"]["silo"]
    reordered = experiment.document(runs[::-1])
    assert json.dumps(reordered, sort_keys=True) == json.dumps(document, sort_keys=True)


def test_single_server_scenario_puts_theory_beside_simulation(tmp_path: Path) -> None:
    """Each discipline's simulated mean stands beside the exact and the published one."""
    experiment = experiment_of_kind(changed(tmp_path, "queueing-theory.yaml", requests=100_000), seeds=2)
    assert experiment is not None
    document = experiment.document(list(experiment.run(experiment.tasks(["srpt"]))))
    figures = document["systems"]["srpt"]
    assert figures["response_published"]["mean"] == 2.3528
    assert figures["response_mean"]["mean"] == pytest.approx(figures["response_exact"]["mean"], rel=0.05)


@pytest.mark.parametrize("name", ["niyama.yaml", "queueing-theory.yaml"])
def test_committed_scenarios_are_valid(name: str) -> None:
    """The committed scenarios are read without a complaint."""
    experiment = experiment_of_kind(EXAMPLES / name)
    assert experiment is not None
    assert experiment.tasks()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "Magic"}, "kind is 'Magic'"),
        ({"load": {"lengths": "x", "requestsPerSecond": 1.0}}, "requests: give a number"),
        ({"engine": {}}, "give exactly one of profile, timeModel"),
        ({"engine": {"timeModel": "NiyamaLlama3-8B-A100"}}, "kvCapacityTokens: required"),
        ({"baseline": "nobody"}, "there is no system 'nobody'"),
        ({"replicas": 11}, "silo-even.silos have replicas"),
        ({"replicas": 0}, "replicas is 0: must be at least 1"),
        (
            {"systems": [{"name": "x", "silos": [{"class": "a", "scheduler": {"order": "EDF"}}]}]},
            "silos serve",
        ),
    ],
)
def test_bad_scenarios_are_named(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    """A scenario that cannot be used is refused with the field at fault."""
    with pytest.raises(ScenarioError, match=told):
        experiment_of_kind(changed(tmp_path, "niyama.yaml", **fields))


def test_a_scenario_without_a_kind_is_left_to_others(tmp_path: Path) -> None:
    """A scenario that names no kind is none of these."""
    path = tmp_path / "other.yaml"
    path.write_text("name: other\n", "utf-8")
    assert experiment_of_kind(path) is None


def test_highest_rate_is_found_by_bisection() -> None:
    """The rate is found as closely as asked, and a bound that is still served well is refused."""
    found = highest_rate(lambda rate: 0.0 if rate <= 3.3 else 1.0, allowed=0.01, at_most=6.0, within=0.01)
    assert found == pytest.approx(3.3, abs=0.01)
    with pytest.raises(ValueError, match="atMost"):
        highest_rate(lambda _: 0.0, allowed=0.01, at_most=6.0, within=0.01)
