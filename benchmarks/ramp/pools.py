"""`python -m benchmarks.ramp.pools [--seeds N]`: pools at the rate that the model says they sustain.

Poisson arrivals, lengths exponential or all equal, late binding. A row is right when its attainment is near
the objectives' 99 % (above: the model is careful; below: it promises too much).
"""

import argparse

import numpy as np
from presage_policies.engine import RequestShape, sustainable_rates, sustained_rate
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile
from presage_simulator.length_sources import OracleLengths
from presage_simulator.simulation import simulate
from presage_simulator.systems import Pool, Routing, System
from presage_simulator.workload import Workload

POOLS = (1, 3, 8, 16)
SECONDS = 1500.0
SHAPES = (
    ("h100-qwen3-32b-tp2", 4000, 1000, 0.0, Objectives(3.0, 0.1)),
    ("h100-qwen3-32b-tp2", 4000, 1000, 1.0, Objectives(3.0, 0.1)),
    ("rtx4090-llama-3.1-8b", 1155, 211, 1.0, Objectives(2.0, 0.08)),
    ("rtx4090-llama-3.1-8b", 300, 400, 1.0, Objectives(2.0, 0.08)),
)


def main() -> None:
    """Print a row for every pool."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ramp.pools", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    seeds = parser.parse_args().seeds
    print("| engine, lengths | variation | pods | requests/s each | alone, with its margin | attainment % |")
    print("|---|---|---|---|---|---|")
    for name, prompt, output, variation, objectives in SHAPES:
        profile = load_profile(name)
        shape = RequestShape(prompt, output, variation, variation)
        alone = sustainable_rates(profile, prompt, output, objectives).output / output
        for replicas in POOLS:
            rate = sustained_rate(profile, replicas, shape, objectives)
            pool = Pool(profile, replicas, replicas, replicas)
            met = []
            for seed in range(seeds):
                load = _load(rate, prompt, output, variation, objectives, seed)
                system = System("fixed", Routing(max_waiting=1 << 20, max_wait_seconds=1e6), OracleLengths())
                met.append(100 * simulate(pool, system, load, seed).met.mean())
            row = f"{name}, {prompt} + {output} | {variation:g} | {replicas} | {rate / replicas:.3f}"
            print(f"| {row} | {alone:.3f} | {np.mean(met):.2f} |", flush=True)


def _load(  # noqa: PLR0917 - a load and its seed
    rate: float, prompt: int, output: int, variation: float, objectives: Objectives, seed: int
) -> Workload:
    rng = np.random.default_rng([seed, 0x52])
    count = rng.poisson(rate * SECONDS)
    at = np.sort(rng.uniform(0, SECONDS, count))
    prompts, outputs = np.full(count, prompt), np.full(count, output)
    if variation > 0:
        prompts = np.clip(rng.exponential(prompt, count), 1, 8 * prompt).astype(int)
        outputs = np.clip(rng.exponential(output, count), 1, 8 * output).astype(int)
    return Workload.of(at, prompts, outputs, objectives)


if __name__ == "__main__":
    main()
