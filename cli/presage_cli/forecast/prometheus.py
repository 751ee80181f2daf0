"""Reads rates from a Prometheus, a window each, for training on one's own past."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray
from presage_predictors.traces import TraceError

Floats = NDArray[np.float64]

MOST_POINTS = 10_000  # Prometheus answers 11,000 a series at most
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Span:
    """The windows that are read; `end` in Unix seconds."""

    window_seconds: float
    end: float
    seconds: float


def rates(address: str, query: str, span: Span) -> list[Floats]:
    """Return each series that the query gives, one value a window, NaN where there is none.

    The query must give rates per second, such as `sum by (service) (rate(NAME[10m]))`. Raises TraceError
    when Prometheus cannot be asked or refuses.
    """
    window = span.window_seconds
    count = int(span.seconds // window)
    last = math.floor(span.end / window) * window
    found: dict[str, Floats] = {}
    for first in range(0, count, MOST_POINTS):
        begin = last - (count - 1 - first) * window
        end = min(begin + (MOST_POINTS - 1) * window, last)
        for name, samples in _asked(address, {"query": query, "start": begin, "end": end, "step": window}):
            grid = found.setdefault(name, np.full(count, np.nan))
            for at, value in samples:
                grid[round((float(at) - last) / window) + count - 1] = float(value)
    return list(found.values())


def _asked(address: str, asked: dict[str, object]) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    url = f"{address.rstrip('/')}/api/v1/query_range?{urlencode(asked)}"
    if not url.startswith(("http://", "https://")):
        raise TraceError(f"{address!r} is no address of a Prometheus: give http://HOST:PORT")
    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - the scheme is checked above
            answer = json.load(response)
    except (URLError, TimeoutError, ValueError) as error:
        raise TraceError(f"Prometheus at {address} does not answer {asked['query']!r}: {error}") from error
    for series in answer["data"]["result"]:
        yield json.dumps(series["metric"], sort_keys=True), series["values"]
