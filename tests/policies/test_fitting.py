"""The fit finds the coefficients that made the times, and the shipped profiles are what it gives."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from presage_policies.fitting import PER_ITERATION, PER_LAYER, KernelTables, fit_iteration_time
from presage_policies.profiles import load_profile

SHARED = Path(os.environ.get("PRESAGE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_a_linear_engine_is_recovered() -> None:
    """From kernel times made by known coefficients the fit returns those coefficients, without error."""
    fixed, token, sequence, kv, attention = 8e-3, 3e-5, 4e-6, 1e-7, 2e-9
    rows = [
        (
            chunk,
            context,
            decodes,
            kv_each,
            (kv * decodes * kv_each + attention * chunk * (context + chunk / 2)) / 2e-6,
        )
        for chunk in (0, 128, 1024)
        for context in (0, 1024)
        for decodes in (1, 8, 64)
        for kv_each in (64, 2048)
    ]
    grid = np.array([0.0, 4096.0])
    once = (grid, (fixed + token * grid) * 1e6)
    none = (grid, np.zeros(2))
    dense = dict.fromkeys(PER_LAYER, none) | dict.fromkeys(PER_ITERATION, none) | {"embedding": once}
    tables = KernelTables(np.array(rows), dense, {"lm_head": (grid, sequence * grid * 1e6)}, layers=2)
    fit = fit_iteration_time(
        tables, kv_capacity_tokens=10**6, max_sequences=256, token_budget=2048, host_seconds=1e-3
    )
    c = fit.coefficients
    assert (c.fixed, c.per_token, c.per_sequence) == pytest.approx((fixed + 1e-3, token, sequence))
    assert (c.per_kv_token, c.per_prefill_attention) == pytest.approx((kv, attention))
    assert fit.error < 1e-9


def test_useless_tables_are_refused() -> None:
    """Tables of the wrong form, or of which nothing fits the engine, are refused with the reason."""
    grid = (np.array([0.0, 1.0]), np.zeros(2))
    dense = dict.fromkeys((*PER_LAYER, *PER_ITERATION), grid)
    with pytest.raises(ValueError, match="5 columns"):
        KernelTables(np.ones((3, 4)), dense, {}, 1)
    with pytest.raises(ValueError, match="no kernel 'layernorm'"):
        KernelTables(np.ones((3, 5)), {}, {}, 1)
    with pytest.raises(ValueError, match="0 measured points"):
        fit_iteration_time(
            KernelTables(np.full((20, 5), 9999.0), dense, {}, 1),
            kv_capacity_tokens=100,
            max_sequences=8,
            token_budget=32,
        )


def rows(path: Path) -> list[dict[str, str]]:
    """Read a gzipped table."""
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


def by_kernel(table: list[dict[str, str]], axis: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return each kernel's (axis, time) arrays."""
    kernels: dict[str, tuple[list[float], list[float]]] = {}
    for row in table:
        points = kernels.setdefault(row["layer"], ([], []))
        points[0].append(float(row[axis]))
        points[1].append(float(row["time_us"]))
    return {name: (np.array(x), np.array(y)) for name, (x, y) in kernels.items()}


@pytest.mark.parametrize("gpu", ["rtx4090", "rtxpro6000"])
def test_shipped_profiles_are_the_fit(gpu: str) -> None:
    """Fitting the measured tables again gives the shipped coefficients and the error that they state."""
    prefix = SHARED / "engine" / f"{gpu}_llama31-8b_tp1"
    if not Path(f"{prefix}_attention.csv.gz").exists():
        pytest.skip(
            f"the measured tables are not in {SHARED / 'engine'}: set PRESAGE_SHARED_DATA to their folder"
        )
    profile = load_profile(f"{gpu}-llama-3.1-8b")
    attention = np.array(
        [[float(v) for v in row.values()] for row in rows(Path(f"{prefix}_attention.csv.gz"))]
    )
    tables = KernelTables(
        attention,
        by_kernel(rows(Path(f"{prefix}_dense.csv.gz")), "tokens"),
        by_kernel(rows(Path(f"{prefix}_per_sequence.csv.gz")), "sequences"),
        layers=32,
    )
    fit = fit_iteration_time(
        tables,
        kv_capacity_tokens=profile.kv_capacity_tokens,
        max_sequences=profile.max_sequences,
        token_budget=profile.token_budget,
        host_seconds=0.002,
    )
    for name in ("fixed", "per_token", "per_sequence", "per_kv_token", "per_prefill_attention"):
        assert getattr(profile.coefficients, name) == pytest.approx(getattr(fit.coefficients, name), rel=1e-3)
    assert fit.words in profile.fit_error.replace(" measured points", " points")
