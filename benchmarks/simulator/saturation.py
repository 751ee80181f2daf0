"""What a scenario's pools can serve at most: `python -m benchmarks.simulator.saturation SCENARIO.yaml`.

All of a workload's requests arrive within a second; the rate at which the middle of them then ends is the
most that its pool serves of them. Every engine is full and late binding keeps queues out of them, so no
router does better for long. Printed is the rateFactor at which the workload brings exactly that rate.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from presage_policies.profiles import load_profile
from presage_simulator.data import Tables
from presage_simulator.length_sources import OracleLengths
from presage_simulator.scenario import load_scenario
from presage_simulator.simulation import simulate
from presage_simulator.sources import load_of
from presage_simulator.systems import Pool, Routing, System

if TYPE_CHECKING:
    from presage_simulator.scenario import Scenario, WorkloadSpec
    from presage_simulator.workload import Workload

MIDDLE = (25, 75)  # percent of responses: engines are full before, and run empty after


def main() -> None:
    """Print each workload's own rate, its pool's saturation, and the factor between them."""
    parser = argparse.ArgumentParser(prog="benchmarks.simulator.saturation", description=__doc__)
    parser.add_argument("scenario", type=Path)
    options = parser.parse_args()
    scenario = load_scenario(options.scenario)
    for spec in scenario.workloads:
        natural = spec.model_copy(update={"rate_factor": 1.0})
        load = load_of(scenario, natural, Tables(options.scenario.parent), 0)
        own = len(load.workload) / load.seconds
        most = saturation(scenario, spec, load.workload)
        print(
            f"{spec.name}: {len(load.workload):,} requests at {own:.3f}/s; the pool serves {most:.3f}/s: "
            f"rateFactor {most / own:.4g}"
        )


def saturation(scenario: Scenario, spec: WorkloadSpec, workload: Workload) -> float:
    """Return the requests/s that the workload's pool serves while it never runs empty."""
    pool = scenario.pool_of(spec)
    crowd = replace(workload, at=np.linspace(0.0, 1.0, len(workload)))
    system = System(
        "saturated", Routing("LeastBid", 3, max_waiting=len(crowd), max_wait_seconds=1e9), OracleLengths()
    )
    profile = load_profile(scenario.profile_of(spec))
    outcome = simulate(Pool(profile, pool.first, pool.first, pool.first), system, crowd, 0)
    ended = np.sort(outcome.finished[np.isfinite(outcome.finished)])
    begin, end = np.percentile(ended, MIDDLE)
    return float(np.count_nonzero((ended >= begin) & (ended < end)) / (end - begin))


if __name__ == "__main__":
    main()
