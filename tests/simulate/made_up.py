"""A comparison made by hand, for the document, the table and the report."""

import numpy as np
from presage_policies.scaling import Decision
from presage_simulator.comparison import Comparison
from presage_simulator.metrics import request_figures
from presage_simulator.results import ReplicaSteps
from presage_simulator.runner import SHOWN, Ran, Task, tasks_of
from presage_simulator.scenario import Scenario, parse_scenario
from presage_simulator.stories import LEVELS, Story

from .fates import fates_of

MINUTES = 30


def scenario() -> Scenario:
    """Return two services and three systems, one with a grid."""
    service = {
        "stages": [{"requestsPerSecond": 2, "seconds": MINUTES * 60}],
        "lengths": {"prompt": {"constant": {"tokens": 99}}, "output": {"constant": {"tokens": 9}}},
    }
    return parse_scenario(
        {
            "name": "made-up",
            "description": "Is a <b> shown as text?",
            "profile": "rtx4090-llama-3.1-8b",
            "pool": {"max": 9},
            "workloads": [{"name": "chat", **service}, {"name": "code", **service}],
            "systems": [
                {"name": "ours", "forecast": {}, "scaling": {"policy": "SLOModel"}},
                {"name": "theirs", "scaling": {"policy": "HPA"}, "grid": {"routing.bids": [1, 2]}},
                {"name": "foresight", "scaling": {"policy": "Foresight"}},
            ],
            "baseline": "theirs",
            "seeds": 2,
        }
    )


def ran(task: Task) -> Ran:
    """Return a made-up run: system 1 misses most, its grid is dearer and better, seeds differ a little."""
    bad = {0: 0.02, 1: 0.2, 2: 0.0}[task.system] / (2 + task.variant)
    told = fates_of(400, late=bad + 0.01 * task.seed)
    cost = 1000.0 * (2 + task.variant) + 10 * task.seed + 100 * task.system
    pods = {
        "replica_seconds": cost,
        "mean_replicas": cost / 1800,
        "peak_replicas": 4.0,
        "scale_ups": 2.0,
        "ready_before_needed": None,
        "kv_use": 0.4,
        "imbalance": 0.1,
        "messages": 3.0,
    }
    figures = request_figures(told, 1800.0) | pods
    steps = ReplicaSteps(np.array([0.0, 600.0]), np.array([1, 3 + task.system]), np.array([1, 2]))
    story = Story(
        arrivals=np.full(MINUTES, 10),
        missed=np.where(np.arange(MINUTES) == 12, round(100 * bad), 0),
        ttft_p95=np.full(MINUTES, 0.5),
        ttft=np.quantile(told.ttft, LEVELS),
        tpot=np.quantile(told.tpot, LEVELS),
        e2e=np.quantile(told.e2e, LEVELS),
        replicas=steps,
        decisions=((600.0, Decision(3, "2,000 tokens/s <need> 3", "ForecastDemand")),),
        window_seconds=600.0,
        demand=np.array([900.0, 1000.0, 1100.0]),
        forecast_at=np.array([0.0, 600.0, 1200.0]) if task.system == 0 else np.empty(0),
        forecast_p50=np.array([900.0, 950.0, 1000.0]) if task.system == 0 else np.empty(0),
        forecast_p90=np.array([990.0, 1050.0, 1200.0]) if task.system == 0 else np.empty(0),
    )
    names = ("chat", "code")
    shown = task.variant == SHOWN and task.seed == 0
    return Ran(
        task=task,
        figures=figures,
        services=dict.fromkeys(names, figures),
        classes={},
        replicas=dict.fromkeys(names, steps),
        seconds=dict.fromkeys(names, 1800.0),
        stories=dict.fromkeys(names, story) if shown else {},
    )


def compared(seed: int | None = None) -> Comparison:
    """Return the comparison of all made-up runs, which come in an order by the seed, if one is given."""
    asked = scenario()
    tasks = list(tasks_of(asked))
    order = np.arange(len(tasks)) if seed is None else np.random.default_rng(seed).permutation(len(tasks))
    return Comparison.of(asked, [ran(tasks[index]) for index in order])
