"""Run the comparison: `uv run --group bench python -m benchmarks.overhead`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.overhead import upstream
from benchmarks.overhead.cpu import cpu_pressure, cpu_seconds
from benchmarks.overhead.load import Counts, pace, saturate
from benchmarks.overhead.report import (
    LEARNED,
    PRESAGE,
    SGLANG,
    UNPREDICTED,
    Measured,
    prediction,
    prediction_table,
    summary,
    table,
)
from benchmarks.overhead.targets import HOST, Target, all_targets

if TYPE_CHECKING:
    from collections.abc import Coroutine


# 64 streams at once of an engine that gives each a token every 50 ms, the objective's default.
# Prompts are as long as the median of those that the weights were trained on.
PREDICTION: dict[str, Any] = {
    "routers": [UNPREDICTED, LEARNED],
    "event_milliseconds": 50.0,
    "streams_per_second": 64 / ((upstream.EVENTS - 1) * 0.050),
    "prompt_characters": 272,
    "paced_only": True,
    "repetitions": 8,
    "seconds": 10.0,
}


def main() -> int:
    """Measure, print the table, write the JSON; 1 when any request failed."""
    options = _options()
    before = cpu_pressure()
    with all_targets(tuple(options.routers), options.event_milliseconds) as targets:
        measured = {target.name: Measured() for target in targets}
        for turn in range(-1, options.repetitions):  # the first turn warms up and is not counted
            for place in range(len(targets)):
                target = targets[(place + turn) % len(targets)]
                one = asyncio.run(_measure(target, options))
                if turn >= 0:
                    _add(measured[target.name], one)
            sys.stderr.write(
                f"repetition {turn + 1} of {options.repetitions} done\n" if turn >= 0 else "warm\n"
            )
    pressure = {"before": before, "after": cpu_pressure()}
    result = summary(measured) | {"setting": _setting(options) | {"cpu_pressure_percent": pressure}}
    result["prediction"] = prediction(measured)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(table(result))
    if result["prediction"]:
        print(prediction_table(result["prediction"]))
    print(f"CPU pressure, % of the last minute: {before} before, {pressure['after']} after the run")
    print(f"written: {options.out}")
    return 1 if any(one.failed for one in measured.values()) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.overhead", description=__doc__)
    parser.add_argument(
        "--prediction", action="store_true", help="Compare learned lengths with none, at 64 streams at once."
    )
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each part of each repetition")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--streams-per-second", type=float, default=60.0)
    parser.add_argument("--event-milliseconds", type=float, default=upstream.EVERY_MILLISECONDS)
    parser.add_argument("--paced-only", action="store_true", help="Leave out the part without streams.")
    parser.add_argument(
        "--prompt-characters", type=int, default=0, help="Length of prompts; shorter ones are filled up."
    )
    parser.add_argument(
        "--routers", nargs="*", default=[PRESAGE, SGLANG], choices=[PRESAGE, UNPREDICTED, LEARNED, SGLANG]
    )
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/overhead.json"))
    if parser.parse_known_args()[0].prediction:
        parser.set_defaults(**PREDICTION)
    return parser.parse_args()


async def _measure(target: Target, options: argparse.Namespace) -> Measured:
    one = Measured()
    filled = options.prompt_characters
    if not options.paced_only:
        fast, cpu = await _with_cpu(
            target, saturate(HOST, target.port, options.connections, options.seconds, filled)
        )
        one.requests_per_second.append(len(fast.seconds) / fast.elapsed)
        one.cpu_per_thousand += _per_thousand(cpu, fast)
        one.failed += fast.failed
    paced, cpu = await _with_cpu(
        target, pace(HOST, target.port, options.streams_per_second, options.seconds, filled)
    )
    one.ttft.append(paced.seconds)
    one.stream_cpu_per_thousand += _per_thousand(cpu, paced)
    one.failed += paced.failed
    return one


async def _with_cpu(target: Target, work: Coroutine[Any, Any, Counts]) -> tuple[Counts, float | None]:
    before = cpu_seconds(target.pid) if target.pid else None
    counts = await work
    return counts, cpu_seconds(target.pid) - before if target.pid and before is not None else None


def _per_thousand(cpu: float | None, counts: Counts) -> list[float]:
    return [] if cpu is None else [1000 * cpu / len(counts.seconds)]


def _add(total: Measured, one: Measured) -> None:
    total.requests_per_second += one.requests_per_second
    total.cpu_per_thousand += one.cpu_per_thousand
    total.ttft += one.ttft
    total.stream_cpu_per_thousand += one.stream_cpu_per_thousand
    total.failed += one.failed


def _setting(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "repetitions": options.repetitions,
        "seconds": options.seconds,
        "connections": options.connections,
        "streams_per_second": options.streams_per_second,
        "prompt_characters": options.prompt_characters,
        "upstream": {
            "kind": "fake engine without batch or room (benchmarks/overhead/upstream.py)",
            "every_milliseconds": options.event_milliseconds,
            "events": upstream.EVENTS,
        },
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "sglang_router": _version("sglang-router"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        pass
    else:
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    sys.exit(main())
