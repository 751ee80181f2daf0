"""`python -m benchmarks.ramp sensitivity|margin|ablation|shapes [--seeds N] [--jobs J]`: prints a table each.

Everything is examples/scenarios/ramp.yaml with something changed, so no table can drift from the scenario.
"""

import argparse
import copy
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from presage_cli.simulate.composition import Composition
from presage_policies.profiles import load_profile
from presage_simulator.runner import Experiment, run, tasks_of
from presage_simulator.scenario import parse_scenario

Document = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
RAMP = ROOT / "examples/scenarios/ramp.yaml"
FACTORS = (0.90, 0.95, 0.97, 1.0, 1.03, 1.05, 1.10)
MARGINS = (1.0, 2.0, 3.0, 3.5, 4.0, 4.5, 5.0)

PARTS: dict[str, Document] = {
    "all of it": {},
    "order: first come, first served": {"routing.order": "FCFS"},
    "bound early, to the least token load": {
        "routing": {"policy": "PrefixTokenLoad", "bids": 0, "binding": "Early"}
    },
    "no reserve for rises": {"scaling.parameters.reserve": False},
    "one instance's percentile, times N": {"scaling.parameters.pooled": False},
    "rate by windows of 10 minutes, not by the second": {"scaling.parameters.bySecond": False},
    "decided every 15 s": {"scaling.intervalSeconds": 15},
}
"""What is taken away from `presage`: dotted fields and their values."""

SHAPES: dict[str, Document] = {
    "ramp": {},
    "constant 6/s": {"stages": [[6, 2400]]},
    "one step 3 to 8/s and back": {"stages": [[3, 900], [8, 900], [3, 900]]},
    "spike to 10/s for 60 s, twice": {"stages": [[4, 600], [10, 60], [4, 900], [10, 60], [4, 600]]},
    "slow wave 2 to 9/s": {
        "stages": [[round(5.5 - 3.5 * float(np.cos(np.pi * k / 30)), 2), 120] for k in range(61)]
    },
    "azure2023_code, sped up": {
        "trace": {"path": "data:traces/azure2023_code.parquet"},
        "rateFactor": 2.0,
    },
}
"""Loads: (requests/s, seconds) stages, or a trace, on the ramp's engines and objectives."""


def main() -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ramp", description=__doc__)
    parser.add_argument("table", choices=("sensitivity", "margin", "ablation", "shapes"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    tables = {"sensitivity": sensitivity, "margin": margin, "ablation": ablation, "shapes": shapes}
    print("| | arrivals | system | attainment % | replicas |\n|---|---|---|---|---|")
    for row in tables[asked.table](asked.seeds, asked.jobs):
        print(f"| {' | '.join(row)} |", flush=True)


def sensitivity(seeds: int, jobs: int) -> Iterator[tuple[str, ...]]:
    """Change capacity: every time of the engine is divided by a factor."""
    for factor in FACTORS:
        with tempfile.TemporaryDirectory() as folder:
            document = _ramp("presage", "keda-slo", "keda-slo-measured", "foresight")
            document["profile"] = _scaled(document["profile"], factor, Path(folder))
            yield from _rows(f"capacity {factor - 1:+.0%}", document, seeds, jobs)


def margin(seeds: int, jobs: int) -> Iterator[tuple[str, ...]]:
    """Change the rival's one constant: the P90 of TTFT that its predictor names over the expected one."""
    for value in MARGINS:
        document = _ramp("keda-slo")
        _set(document["systems"][0], "scaling.parameters.ttftMargin", value)
        yield from _rows(f"margin {value:g}", document, seeds, jobs)


def ablation(seeds: int, jobs: int) -> Iterator[tuple[str, ...]]:
    """Run ours less one part at a time, on the ramp and on one step; and the rival with our routing."""
    for load in ("ramp", "one step 3 to 8/s and back"):
        for name, changes in PARTS.items():
            document = _loaded(_ramp("presage"), SHAPES[load])
            for path, value in changes.items():
                _set(document["systems"][0], path, value)
            yield from _rows(f"{load}: {name}", document, seeds, jobs)
        document = _loaded(_ramp("keda-slo"), SHAPES[load])
        document["systems"][0]["routing"] = _ramp("presage")["systems"][0]["routing"]
        yield from _rows(f"{load}: the rival's law, routed as ours", document, seeds, jobs)


def shapes(seeds: int, jobs: int) -> Iterator[tuple[str, ...]]:
    """Try the same constants on other loads."""
    for name, load in SHAPES.items():
        document = _loaded(_ramp("presage", "keda-slo", "hpa", "foresight", "static-8"), load)
        yield from _rows(name, document, seeds, jobs)


def _ramp(*systems: str) -> Document:
    document: Document = yaml.safe_load(RAMP.read_text("utf-8"))
    document["systems"] = [copy.deepcopy(s) for s in document["systems"] if s["name"] in systems]
    document["baseline"] = None
    return document


def _loaded(document: Document, load: Document) -> Document:
    """Exchange the load; a trace has instants and lengths of its own, and so no sweep over processes."""
    workload = document["workloads"][0]
    if "stages" in load:
        workload["stages"] = [{"requestsPerSecond": rate, "seconds": s} for rate, s in load["stages"]]
    if "trace" in load:
        for field in ("stages", "process", "lengths"):
            del workload[field]
        del document["sweep"]
        workload |= load
    return document


def _set(document: Document, path: str, value: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        document = document.setdefault(step, {})
    document[last] = value


def _scaled(name: str, factor: float, folder: Path) -> str:
    """Write the profile with every coefficient divided by a factor; return its path."""
    profile = load_profile(name)
    plain = {
        field.name: getattr(profile, field.name)
        for field in fields(profile)
        if field.name != "coefficients" and getattr(profile, field.name) is not None
    }
    coefficients = {
        field.name: getattr(profile.coefficients, field.name) / factor
        for field in fields(profile.coefficients)
    }
    path = folder / "scaled.yaml"
    path.write_text(yaml.safe_dump(plain | {"coefficients": coefficients}), "utf-8")
    return str(path)


def _rows(label: str, document: Document, seeds: int, jobs: int) -> Iterator[tuple[str, ...]]:
    """Run a document; yield a row a system and kind of arrivals, with the range over seeds."""
    document["seeds"] = seeds
    scenario = parse_scenario(document, label)
    points = [point.label.removeprefix("kind=") or "as recorded" for point, _ in scenario.swept()]
    found: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    experiment = Experiment(scenario, RAMP.parent)
    for ran in run(experiment, tasks_of(scenario), Composition(), jobs):
        figures = ran.figures
        found[ran.task.system, ran.task.point].append((figures["slo_attainment"], figures["mean_replicas"]))
    for (system, point), runs in sorted(found.items()):
        met, replicas = np.array(sorted(runs)).T
        yield (
            label,
            points[point],
            scenario.systems[system].name,
            _told(100 * met, 2),
            _told(replicas, 2),
        )


def _told(values: np.ndarray, digits: int) -> str:
    spread = f" ({values.min():.{digits}f} to {values.max():.{digits}f})" if np.ptp(values) > 0 else ""
    return f"{values.mean():.{digits}f}{spread}"


if __name__ == "__main__":
    main()
