"""Chat's pods while lengths are still being learnt, and later."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml
from presage_cli.simulate.composition import Composition
from presage_simulator.results import ReplicaSteps
from presage_simulator.runner import Experiment, run, tasks_of
from presage_simulator.scenario import parse_scenario

from benchmarks.prediction.forecasts import SCENARIO

SYSTEMS = ("presage", "without-lengths", "mean-lengths", "true-lengths")
SERVICE = "conv"
FIRST = 3600.0  # seconds


def hours(seeds: int, jobs: int) -> Iterator[tuple[str, ...]]:
    """Yield each system's mean pods, those that are coming included, in the first hour and after it."""
    document: dict[str, Any] = yaml.safe_load(SCENARIO.read_text("utf-8"))
    document["workloads"] = [each for each in document["workloads"] if each["name"] == SERVICE]
    document |= {"seeds": seeds, "gridSeeds": 1}
    for system in document["systems"]:
        system.pop("grid", None)
    scenario = parse_scenario(document, SCENARIO.name)
    pods: dict[str, list[tuple[float, float]]] = defaultdict(list)
    tasks = tasks_of(scenario, SYSTEMS)
    for ran in run(Experiment(scenario, SCENARIO.parent), tasks, Composition(), jobs):
        steps, end = ran.replicas[SERVICE], ran.seconds[SERVICE]
        found = _mean(steps, 0.0, FIRST), _mean(steps, FIRST, end)
        pods[scenario.systems[ran.task.system].name].append(found)
    for name in SYSTEMS:
        first, later = np.mean(pods[name], axis=0)
        yield name, f"{first:.2f}", f"{later:.2f}"


def _mean(steps: ReplicaSteps, begin: float, end: float) -> float:
    """Return the mean pods between two instants."""
    at = np.clip(np.append(steps.at, end), begin, end)
    return float(np.diff(at) @ steps.current) / (end - begin)
