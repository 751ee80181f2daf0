"""`presage simulate` end to end on a small scenario, and what it says of bad input."""

import json
from pathlib import Path

import pytest
import yaml
from presage_cli.main import app
from presage_cli.simulate.composition import FORESIGHT, scaling_policy
from presage_simulator.kinds import experiment_of_kind
from presage_simulator.runner import tasks_of
from presage_simulator.scenario import load_scenario
from typer.testing import CliRunner

FIRST = Path(__file__).parents[2] / "examples" / "scenarios" / "first.yaml"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Give the first example cut to its busiest twenty minutes and three systems, beside its data."""
    scenario = yaml.safe_load(FIRST.read_text("utf-8"))
    workload = scenario["workloads"][0]
    for table in (workload["series"], workload["lengths"]):
        key = "path" if "path" in table else "trace"
        table[key] = str(FIRST.parent / table[key])
    workload |= {"from": 392400, "until": 393600, "history": 172800}
    scenario["systems"] = [s for s in scenario["systems"] if s["name"] in {"presage", "hpa", "foresight"}]
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(scenario))
    return path


def simulate(*arguments: object) -> tuple[int, str]:
    """Run the command; return its exit status and all that it printed."""
    done = CliRunner().invoke(app, ["simulate", *(str(argument) for argument in arguments)])
    return done.exit_code, done.output


def test_any_number_of_processes_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    """One process and two write the same JSON; every request has its fate in it, and the table is printed."""
    results = [tmp_path / f"{jobs}.json" for jobs in (1, 2)]
    for jobs, path in enumerate(results, start=1):
        code, printed = simulate(small, "--jobs", jobs, "--json", path)
        assert code == 0, printed
        assert "foresight" in printed
    assert results[0].read_bytes() == results[1].read_bytes()
    systems = json.loads(results[0].read_text())["systems"]
    assert len({metrics["requests"]["mean"] for metrics in systems.values()}) == 1
    assert 0.9 < systems["foresight"]["slo_attainment"]["mean"] <= 1
    assert len(json.loads(results[0].read_text())["grid"]["hpa"]) == 3


def test_bad_input_exits_with_2_and_names_what_is_wrong(small: Path, tmp_path: Path) -> None:
    """A missing file, an unknown policy, a bad parameter and an unknown system are told in one line each."""
    good = yaml.safe_load(small.read_text())
    cases = {
        "use one of": {"policy": "PreServ"},
        "scaling.parameters.level is 'high'": {"policy": "PreServe", "parameters": {"level": "high"}},
        "scaling.parameters.lvel is unknown: PreServe has level": {
            "policy": "PreServe",
            "parameters": {"lvel": 0.5},
        },
        "forecast quantile is 2": {"policy": "PreServe", "parameters": {"level": 2}},
    }
    for told, scaling in cases.items():
        path = tmp_path / "bad.yaml"
        path.write_text(yaml.safe_dump(good | {"systems": [{"name": "hpa", "scaling": scaling}]}))
        code, printed = simulate(path, "--jobs", 1)
        assert (code, told in printed) == (2, True), printed
    for arguments, told in (
        ((tmp_path / "none.yaml",), "cannot be read"),
        ((small, "--systems", "nobody"), "there is no system 'nobody'"),
        ((), "give either a scenario file or --from-prometheus"),
        (("--from-prometheus", "http://127.0.0.1:1"), "needs --service"),
    ):
        code, printed = simulate(*arguments)
        assert (code, told in printed) == (2, True), printed


@pytest.mark.parametrize("path", sorted(FIRST.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_committed_scenarios_can_be_read(path: Path) -> None:
    """Every example is a scenario that this version understands, to the last field."""
    document = yaml.safe_load(path.read_text("utf-8"))
    if "kind" in document:
        assert experiment_of_kind(path) is not None
        return
    scenario = load_scenario(path)
    assert tasks_of(scenario)
    for system in scenario.systems:
        for each in (system, *(variant for _, variant in scenario.variants(system))):
            if each.scaling is not None and each.scaling.policy != FORESIGHT:
                scaling_policy(each.scaling.policy, each.scaling.parameters)
