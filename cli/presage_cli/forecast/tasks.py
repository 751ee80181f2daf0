"""Which windows of which files are forecast and scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from presage_predictors.backtest.scores import Task
from presage_predictors.traces import Recording, TraceError, read_recording, read_recordings

TESTED = 0.25  # the share at the end that is scored when no earlier data are given apart
USUAL_WINDOW, SHORT_WINDOW = 600.0, 60.0
SPARSE_WINDOW = 86_400.0  # for request logs with less than a request in a usual window
SHORT_SPAN = 43_200.0  # a recording of less than half a day is cut into short windows
STEPS = (1, 3, 6, 12)
REACH_SECONDS = (3600.0, 7200.0)  # and so far ahead, where that is no more than
FARTHEST = 120  # windows
CLIENTS = "_client_rates"  # the same load as the recording's series, by client: not scored twice


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user asked for; None = what suits each file."""

    column: str | None = None
    window_seconds: float | None = None
    horizons: tuple[int, ...] = ()
    history: Path | None = None


def recordings_in(paths: Sequence[Path]) -> list[Recording]:
    """Read files; a folder stands for all its recordings. Raises TraceError when there is none."""
    found: list[Recording] = []
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.glob("*.parquet") if not file.stem.endswith(CLIENTS))
            found += read_recordings(files)
        else:
            found.append(read_recording(path))
    if not found:
        raise TraceError(f"{paths[0]} holds no recording: give parquet files with a column `t`")
    return found


def tasks_of(recording: Recording, choice: Choice) -> Iterator[Task]:
    """Yield one task a column. Raises TraceError when column, window or history do not fit."""
    whole = recording.after(read_recording(choice.history)) if choice.history else recording
    window = choice.window_seconds or _window(whole)
    for column in (choice.column,) if choice.column else whole.loads:
        values = whole.rates(column, window)
        known = np.flatnonzero(np.isfinite(values))
        if not known.size:
            continue
        begin = int(known[0])
        scored = int(np.ceil(recording.t[0] / window)) - begin if choice.history else None
        values = values[begin:]
        first = int((1 - TESTED) * len(values)) if scored is None else scored
        horizons = choice.horizons or _horizons(window)
        yield Task(recording.source, column, window, values, max(first, 1), np.array(horizons))


def first_task(recording: Recording, choice: Choice) -> Task:
    """Return the first task that has enough windows to be scored. Raises TraceError when none has."""
    for task in tasks_of(recording, choice):
        if task.usable:
            return task
    raise TraceError(f"{recording.source} has too few windows: give a shorter --window or a nearer horizon")


def _window(recording: Recording) -> float:
    span = float(recording.t[-1] - recording.t[0])
    usual = USUAL_WINDOW if span >= SHORT_SPAN else SHORT_WINDOW
    if recording.step is None and len(recording.t) * usual < span:
        return SPARSE_WINDOW
    return max(usual, recording.step or 0.0)


def _horizons(window_seconds: float) -> tuple[int, ...]:
    reach = (round(seconds / window_seconds) for seconds in REACH_SECONDS)
    return tuple(sorted({*STEPS, *(steps for steps in reach if 0 < steps <= FARTHEST)}))
