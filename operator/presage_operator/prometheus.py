"""Asks Prometheus without ever blocking the event loop.

prometheus-api-client is synchronous, so every query runs in a thread with time-outs for connecting
and reading. There are no silent retries: the next pass is the retry, and until then the service
holds its replicas and says why.
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.util.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

POINTS_PER_QUERY = 10_000  # Prometheus refuses more than 11,000
CONNECT_SECONDS = 2.0
QUERY_THREADS = 8  # at once per server; its connection pool holds ten


class MetricsError(Exception):
    """Prometheus gave no usable answer; `code` is a condition reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Sample:
    """One value of an instant query."""

    labels: Mapping[str, str]
    value: float  # may be NaN: an answer, but no number
    time: float


class Prometheus:
    """One Prometheus server, with threads of its own: a server that hangs delays nobody else's."""

    def __init__(self, address: str, timeout_seconds: float = 10.0) -> None:
        self.address = address
        self._executor = ThreadPoolExecutor(QUERY_THREADS, thread_name_prefix="prometheus")
        self._read_seconds = timeout_seconds
        self._client = PrometheusConnect(
            url=address.rstrip("/"),
            retry=Retry(0, read=False),
            timeout=(CONNECT_SECONDS, timeout_seconds),  # type: ignore[arg-type]  # handed on to requests, which takes both
        )

    def close(self) -> None:
        """Close the connections; queries under way fail."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def instant(self, query: str, at: float) -> list[Sample]:
        """Evaluate `query` at unix time `at`. Raises `MetricsError`."""

        def ask() -> list[Sample]:
            return [_sample(row) for row in self._client.custom_query(query, params={"time": f"{at:.3f}"})]

        return await self._in_thread(ask)

    async def range(self, query: str, start: int, end: int, step: int) -> dict[int, float]:
        """Values of a single-series `query` at start, start + step, … end, by unix time.

        A time without an answer is absent from the result; NaN stays NaN. Long ranges are asked in
        chunks under the server's limit of points. Raises `MetricsError`.
        """
        values: dict[int, float] = {}
        for first, last in chunks(start, end, step):

            def ask(first: int = first, last: int = last) -> Any:
                return self._client.custom_query_range(query, _utc(first), _utc(last), step=f"{step}s")

            for series in await self._in_thread(ask):
                values.update((round(float(at)), float(value)) for at, value in series["values"])
        return values

    async def _in_thread(self, ask: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        patience = (
            CONNECT_SECONDS + self._read_seconds + 1.0
        )  # a server that drips bytes never times out by itself
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._executor, ask), patience)
        except PrometheusApiClientException as error:
            raise MetricsError(
                "PrometheusRefused", f"Prometheus at {self.address} answered {error}"[:300]
            ) from error
        except (requests.RequestException, TimeoutError, OSError) as error:
            told = _short(error)
            raise MetricsError("PrometheusUnreachable", f"Prometheus at {self.address}: {told}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MetricsError(
                "PrometheusRefused", f"{self.address} does not answer like Prometheus: {error}"[:300]
            ) from error


class PrometheusServers:
    """The Prometheus servers in use, one client each however many services read from it."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._servers: dict[str, Prometheus] = {}

    def at(self, address: str) -> Prometheus:
        """Return the client of the server at `address`."""
        if address not in self._servers:
            self._servers[address] = Prometheus(address, self._timeout_seconds)
        return self._servers[address]

    def close(self) -> None:
        """Close every client."""
        for server in self._servers.values():
            server.close()


def chunks(start: int, end: int, step: int, points: int = POINTS_PER_QUERY) -> list[tuple[int, int]]:
    """Split the grid start, start + step, … end into ranges of at most `points` points each."""
    span = (points - 1) * step
    return [(first, min(first + span, end)) for first in range(start, end + 1, span + step)]


def _sample(row: Mapping[str, Any]) -> Sample:
    at, value = row["value"]
    return Sample(dict(row["metric"]), float(value), float(at))


def finite(value: float | None) -> float | None:
    """Return the value if it is a number, else None: NaN is no measurement."""
    return value if value is not None and math.isfinite(value) else None


def _utc(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _short(error: BaseException) -> str:
    """Say what went wrong without urllib3's nesting, which changes from try to try."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, (requests.Timeout, TimeoutError)):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "connection refused or lost"
    return type(error).__name__
