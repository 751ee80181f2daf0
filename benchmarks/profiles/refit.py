"""Fits the engine profiles that ship with Presage again, each from the measurements that it names.

    .venv/bin/python benchmarks/profiles/refit.py [--only NAME] [--into FOLDER]

The tables are those of ../shared/data/engine (or $PRESAGE_SHARED_DATA/engine). Without --into the shipped
profiles are replaced.
"""

import argparse
import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from presage_cli.engine.fit import fit_profile
from presage_cli.engine.options import FitOptions
from presage_cli.engine.profile_file import write_profile
from presage_cli.engine.tables import Table, read_tables
from presage_policies import profiles
from presage_policies.engine import EngineProfile
from presage_policies.fitting import (
    EngineLimits,
    Floats,
    Samples,
    architecture_of,
    fit_coefficients,
    iteration_terms,
    kv_capacity,
)
from presage_policies.fitting.limits import occurrence

ROOT = Path(__file__).resolve().parents[2]
TABLES = Path(os.environ.get("PRESAGE_SHARED_DATA", ROOT.parent / "shared" / "data")) / "engine"
SHIPPED = Path(profiles.__file__).parent

OPERATIONS = tuple(
    f"h100_{kind}_perf.parquet"
    for kind in ("gemm", "context_attention", "generation_attention", "custom_allreduce")
)
POINTS = "silicon.csv"
AICONFIGURATOR = (
    "ai-dynamo/aiconfigurator at commit 095f58a51c4ca8e61b66ec108d86f223f8d559ce, Apache-2.0 licence"
)
SIMULATOR = (
    "casys-kaist/LLMServingSim at commit 5daddb21a545658d5150b535712d0494584b5278, MIT licence; vLLM 0.19"
)
H100 = {"token_budget": 8192, "max_sequences": 1024}  # vLLM's defaults there
UNUSED_GB = 7.5  # of an H100, by the KV capacity that Qwen3-32B's end-to-end points show


@dataclass(frozen=True)
class Recipe:
    """What a profile is fitted to: files, and options of the fit."""

    files: tuple[str, ...]
    options: FitOptions


def per_layer(gpu: str) -> tuple[str, ...]:
    """Return the per-layer tables of a GPU."""
    return tuple(f"{gpu}_llama31-8b_tp1_{kind}.csv.gz" for kind in ("attention", "dense", "per_sequence"))


RECIPES = {
    "h100-qwen3-32b-tp2": Recipe(
        (*OPERATIONS, POINTS),
        FitOptions(
            model="Qwen/Qwen3-32B",
            tensor_parallel=2,
            system="h100_sxm",
            backend="vllm",
            kv_capacity_tokens=280_000,
            correct_prefill=True,
            provenance="Operations: H100 SXM, vLLM 0.24; points: vLLM 0.12, at most 95% of the KV cache in "
            f"use ({AICONFIGURATOR}). The KV capacity is inferred from the TTFT of five more points, where "
            "the cache overflows (4,096 prompt tokens, 64 and 128 clients), and agrees with 0.9 of 85.5 GB a "
            "device less 32.8 GB of weights and 7.5 GB for all else, at 131,072 bytes a token; on those "
            "points throughput is modelled 3 to 14% too high. Limits are vLLM's defaults on an H100",
            **H100,
        ),
    ),
    "h100-llama-3.1-70b-fp8-tp4": Recipe(
        (*OPERATIONS, POINTS),
        FitOptions(
            model="meta-llama/Llama-3.1-70B",
            tensor_parallel=4,
            dtype="fp8",
            system="h100_sxm",
            backend="vllm",
            reserved_gb=UNUSED_GB,
            correct_prefill=True,
            provenance=f"Operations: H100 SXM, vLLM 0.24; points: vLLM, fp8 ({AICONFIGURATOR}). What is "
            "reserved is what Qwen3-32B leaves unused on the same GPU",
            **H100,
        ),
    ),
    "h100-llama-3.1-70b-tp4": Recipe(
        OPERATIONS,
        FitOptions(
            model="meta-llama/Llama-3.1-70B",
            tensor_parallel=4,
            reserved_gb=UNUSED_GB,
            host_milliseconds=0.72,
            host_sequence_microseconds=17.8,
            provenance=f"Operations: H100 SXM, vLLM 0.24 ({AICONFIGURATOR}). The host time is that of the "
            "fp8 profile of the same model and engine. No bfloat16 points of this model are known, so that a "
            "prefilled token is not corrected: at fp8 the sum is 23% too high for it, at bfloat16 with "
            "Qwen3-32B 10% too low",
            **H100,
        ),
    ),
    "h100-llama-3.1-8b": Recipe(
        OPERATIONS,
        FitOptions(
            model="meta-llama/Llama-3.1-8B",
            reserved_gb=UNUSED_GB,
            host_milliseconds=0.75,
            host_sequence_microseconds=26.5,
            provenance=f"Operations: H100 SXM, vLLM 0.24 ({AICONFIGURATOR}). The host time is the mean of "
            "what the two sets of end-to-end points of the same engine and GPU give, of Qwen3-32B and "
            "Llama-3.1-70B. With that of TensorRT-LLM's 42 points of this model, the only ones (0.54 ms and "
            "9.2 µs), the sum meets their TPOT within 3.5% on average",
            **H100,
        ),
    ),
    "rtxpro6000-llama-3.1-8b": Recipe(
        per_layer("rtxpro6000"),
        FitOptions(
            max_sequences=128,
            provenance=f"Tables: {SIMULATOR}. max_sequences is that of the real run beside them",
        ),
    ),
    "rtx4090-llama-3.1-8b": Recipe(
        per_layer("rtx4090"),
        FitOptions(
            kv_capacity_tokens=41_408,
            provenance=f"Tables: {SIMULATOR}. The KV tokens are what vLLM had in the real run beside them",
        ),
    ),
}
A100 = "a100-llama-3.1-8b"


@cache
def tables_of(files: tuple[str, ...]) -> tuple[list[Table], list[dict[str, Any]]]:
    """Read a recipe's files once."""
    return read_tables([TABLES / file for file in files])


def recipe_profile(name: str) -> EngineProfile:
    """Fit a profile by its recipe."""
    recipe = RECIPES[name]
    return fit_profile(*tables_of(recipe.files), replace(recipe.options, name=name)).profile


def a100_profile() -> EngineProfile:
    """Fit the five coefficients to Niyama's published batch-time model (arXiv 2503.22562).

    The model is of Llama-3-8B, whose shape is that of 3.1, on an A100; it was fitted to measurements of its
    authors' engine, and says the time of any batch.
    """
    shape = architecture_of("llama-3.1-8b")
    limits = EngineLimits(
        kv_capacity_tokens=kv_capacity(
            shape,
            memory_bytes=81_920 * 2**20,
            utilization=0.9,
            tensor_parallel=1,
            weights="bfloat16",
            kv="bfloat16",
            reserved_bytes=1.69e9,
        ),
        max_sequences=256,
        token_budget=2048,
    )
    rows = limits.grid()
    fit = fit_coefficients(Samples(iteration_terms(*rows.T), niyama_seconds(rows), occurrence(rows)))
    return EngineProfile(
        name=A100,
        coefficients=fit.coefficients,
        kv_capacity_tokens=limits.kv_capacity_tokens,
        max_sequences=limits.max_sequences,
        token_budget=limits.token_budget,
        source="Niyama's published batch-time model of Llama-3-8B (the shape of 3.1) on one A100 80GB (arXiv "
        "2503.22562; figures only, its code's licence does not apply), refitted to the five coefficients; "
        "its authors' engine, not vLLM, host time included. The KV capacity is arithmetic: 0.9 of 80 GiB, "
        "less 16.06 GB of weights and 1.69 GB for all else, at 131,072 bytes a token; limits are vLLM's "
        "defaults on an A100. Against the H100 profile of the same model it decodes 2.1 to 2.5 and "
        "prefills 3.1 to 4.1 times slower; splitwise's tables of Llama-2-70B say 1.5 and 2.0 to 2.8, so "
        "that an up-to-date engine is likely faster than this",
        fit_error=fit.words + " of the published model; its own error is not known",
    )


def niyama_seconds(rows: Floats) -> Floats:
    """Return the published time of batches (chunk, its context, decodes, context of each), seconds."""
    chunk, context, decodes, kv_each = rows.T
    tokens, decoded = chunk + decodes, decodes * kv_each
    prefilled = np.where(chunk > 0, context + chunk, 0)
    small = 14_940 + 58.8 * tokens + 22.5 * chunk + 36.3 * decodes + 0.111 * decoded + 0.755 * prefilled
    large = 5_000 + 27.2 * tokens + 68.6 * chunk - 41.4 * decodes + 0.166 * decoded + 2.73 * prefilled
    return np.asarray(np.where(tokens <= 512, small, large) * 1e-6)


def main() -> None:
    """Fit and write the profiles, and print their errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*RECIPES, A100])
    parser.add_argument("--into", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else [*RECIPES, A100]:
        profile = a100_profile() if name == A100 else recipe_profile(name)
        write_profile(profile, arguments.into / f"{name}.yaml")
        print(f"{name}: {profile.fit_error}")


if __name__ == "__main__":
    main()
