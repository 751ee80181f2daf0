# ruff: noqa: INP001  a script beside the data that it makes, not part of a package
"""Cuts the demo's two small slices from the full traces, so that anyone can see how they were made.

Run it from the repository root with the traces beside the repository (see data/README.md for where
they come from): `python examples/demo/cut_slices.py --traces ../shared/data/traces`.
"""

import argparse
from pathlib import Path

import pyarrow.parquet as pq

SHAPE_TRACE = "azure2024_code_digitised.parquet"
LENGTHS_TRACE = "azure2023_conv.parquet"
WINDOW_SECONDS = 600
LAST_WINDOW = 4 * 144 + 98  # Tuesday 16:20 UTC: after the midday peak, when the load has begun to fall
LENGTH_ROWS = 2048
DATA = Path(__file__).parent / "data"


def main() -> None:
    """Write data/shape.csv and data/lengths.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, default=Path("../shared/data/traces"))
    traces = parser.parse_args().traces
    cut_shape(traces / SHAPE_TRACE, DATA / "shape.csv")
    cut_lengths(traces / LENGTHS_TRACE, DATA / "lengths.csv")


def cut_shape(source: Path, target: Path) -> None:
    """Keep request rates from the first window up to the end of the replayed slice."""
    table = pq.read_table(source, columns=["t", "req_per_min"]).slice(0, LAST_WINDOW)
    rows = zip(table["t"].to_pylist(), table["req_per_min"].to_pylist(), strict=True)
    lines = [f"{t:.0f},{rate:.1f}" for t, rate in rows]
    target.write_text("\n".join(["window_start_seconds,requests_per_minute", *lines]) + "\n")


def cut_lengths(source: Path, target: Path) -> None:
    """Keep the first requests' lengths, in their order; times only to show where they were cut."""
    table = pq.read_table(source).slice(0, LENGTH_ROWS)
    columns = (table[name].to_pylist() for name in ("t", "prompt_tokens", "output_tokens"))
    lines = [f"{t:.3f},{prompt},{output}" for t, prompt, output in zip(*columns, strict=True)]
    target.write_text("\n".join(["t_seconds,prompt_tokens,output_tokens", *lines]) + "\n")


if __name__ == "__main__":
    main()
