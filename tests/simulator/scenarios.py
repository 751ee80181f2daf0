"""A small scenario document that tests bend."""

from typing import Any


def document(**changes: Any) -> dict[str, Any]:
    """Return a scenario of one service and two fixed systems, with top-level fields changed."""
    return {
        "name": "small",
        "profile": "rtx4090-llama-3.1-8b",
        "pool": {"max": 4},
        "workloads": [workload()],
        "systems": [{"name": "one", "replicas": 1}, {"name": "two", "replicas": 2}],
        "baseline": "one",
        **changes,
    }


def workload(**changes: Any) -> dict[str, Any]:
    """Return a workload of two stages with lognormal lengths, with fields changed."""
    return {
        "name": "chat",
        "stages": [{"requestsPerSecond": 2, "seconds": 60}, {"requestsPerSecond": 4, "seconds": 60}],
        "lengths": {
            "prompt": {"lognormal": {"median": 300, "sigma": 0.8, "max": 2000}},
            "output": {"lognormal": {"median": 80, "sigma": 0.6, "max": 400}},
        },
        **changes,
    }
