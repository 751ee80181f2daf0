"""Reads the two committed slices: how many requests came when, and how long they were."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SHAPE_HEADER = "window_start_seconds,requests_per_minute"
LENGTHS_HEADER = "t_seconds,prompt_tokens,output_tokens"


class TraceError(ValueError):
    """A slice that is missing or malformed; the text names the file and the line."""


@dataclass(frozen=True)
class Shape:
    """Requests per minute in equal windows, oldest first; shapes (windows,)."""

    window_start_seconds: NDArray[np.float64]
    requests_per_minute: NDArray[np.float64]


@dataclass(frozen=True)
class Lengths:
    """Prompt and output tokens of single requests, in the order in which they came; shapes (requests,)."""

    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]


def read_shape(path: Path) -> Shape:
    """Read `shape.csv`; raises TraceError when it is missing, malformed, negative or unevenly spaced."""
    table = _read(path, SHAPE_HEADER)
    starts, rates = table[:, 0], table[:, 1]
    steps = np.diff(starts)
    if len(steps) == 0 or not np.allclose(steps, steps[0]) or steps[0] <= 0:
        raise TraceError(f"{path}: window_start_seconds must rise in equal steps, over at least two lines")
    if not (rates >= 0).all():
        bad = int(np.argmin(rates >= 0))
        raise TraceError(f"{path}: line {bad + 2}: requests_per_minute is {rates[bad]}: give 0 or more")
    return Shape(starts, rates)


def read_lengths(path: Path) -> Lengths:
    """Read `lengths.csv`; raises TraceError when it is missing, malformed or holds a length below 1."""
    table = _read(path, LENGTHS_HEADER)
    prompt, output = table[:, 1].astype(np.int64), table[:, 2].astype(np.int64)
    if prompt.min() < 1 or output.min() < 1:
        bad = int(np.argmax((prompt < 1) | (output < 1)))
        raise TraceError(f"{path}: line {bad + 2}: lengths are {prompt[bad]}, {output[bad]}: give 1 or more")
    return Lengths(prompt, output)


def _read(path: Path, header: str) -> NDArray[np.float64]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}; the slices are in examples/demo/data") from error
    if not lines or lines[0] != header:
        raise TraceError(f"{path}: line 1 is {lines[0] if lines else ''!r}: expected {header!r}")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split(",")
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            row = []
        if len(row) != header.count(",") + 1 or not np.isfinite(row).all():
            raise TraceError(f"{path}: line {number} is {line!r}: expected numbers for {header}")
        rows.append(row)
    if not rows:
        raise TraceError(f"{path}: holds no rows under its header")
    return np.array(rows)
