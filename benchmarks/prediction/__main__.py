"""`python -m benchmarks.prediction forecasts|hours|means [--seeds N] [--jobs J]`: prints a table each.

Loads and systems are those of examples/scenarios/prediction.yaml, so no table can drift from the scenario.
"""

import argparse
from collections.abc import Iterator

from benchmarks.prediction.forecasts import forecasts
from benchmarks.prediction.hours import hours
from benchmarks.prediction.means import means

HEADS = {
    "forecasts": ("load", "known", "mean against the truth", "more than 5 % short"),
    "hours": ("system", "pods, first hour", "pods, later"),
    "means": ("trace", "mean tokens", "linear between quantiles", "geometric", "linear, 200 responses"),
}


def main() -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument("table", choices=tuple(HEADS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    head = HEADS[asked.table]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for row in _rows(asked.table, asked.seeds, asked.jobs):
        print(f"| {' | '.join(row)} |", flush=True)


def _rows(table: str, seeds: int, jobs: int) -> Iterator[tuple[str, ...]]:
    if table == "forecasts":
        return forecasts(seeds)
    return hours(seeds, jobs) if table == "hours" else means()


if __name__ == "__main__":
    main()
