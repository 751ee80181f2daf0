"""Length predictions that can neither fail nor hold up a request.

A predictor that is quicker than the way to a thread works where it is asked. A slower one works in a thread
of its own, one request after the other, and has a deadline: what is late or fails is answered from history
(or a prior), and counted. Which it is, is measured before the sidecar serves (docs/adr/0012).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import structlog
from presage_policies.lengths import (
    PRIOR,
    LengthDistribution,
    LengthPredictor,
    RequestFeatures,
    TieredLengthPredictor,
)

from presage_router.metrics import Metrics

_log = structlog.get_logger("presage.router")
DEADLINE_SECONDS = 0.02  # a hundred times a prediction's usual time, little of any TTFT
QUICK_SECONDS = 0.001  # of CPU time; to a thread and back a request loses about as much
MOST_UNLEARNT = 256  # finished requests that wait to be learnt from; beyond, a busy sidecar learns less
_LOG_EVERY = 100

_Shares = Callable[[RequestFeatures], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Predictors:
    """Who predicts lengths in a sidecar.

    `serving` works in the event loop, or in a thread under a deadline where `in_thread`. `fallback` must be
    quick, learns along and serves requests where `serving` is late or fails; without it a prior does.
    `version` names the trained weights ("": there are none) and `written` says when their file was (Unix
    seconds; None: the package's).
    """

    serving: LengthPredictor
    fallback: LengthPredictor | None = None
    in_thread: bool = False
    version: str = ""
    written: float | None = None


class SafePredictor:
    """Wraps predictors: what one raises is counted and logged, and something simpler serves."""

    def __init__(self, predictors: Predictors, metrics: Metrics) -> None:
        self._predictor = predictors.serving
        self._fallback = predictors.fallback
        self._shares, self._fallback_shares = _shares(predictors.serving), _shares(predictors.fallback)
        self._metrics = metrics
        self._failures = 0
        self._unlearnt = 0
        self._thread = ThreadPoolExecutor(1, "length") if predictors.in_thread else None
        if predictors.version:
            metrics.show_weights(predictors.version, predictors.written)

    async def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the predicted output tokens, never beyond what the request can have."""
        try:
            length = await self._predicted(features)
        except Exception as error:  # noqa: BLE001 - a learned model may fail in any way; requests go on
            self._failed("predict", error)
            length = self._simpler(features)
        return length.capped(features.cap)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Let the predictor learn from a finished request."""
        if self._fallback is not None:
            self._learn(self._fallback, features, output_tokens)
        if self._thread is None:
            self._learn(self._predictor, features, output_tokens)
        elif self._unlearnt < MOST_UNLEARNT:
            self._unlearnt += 1
            learning = self._thread.submit(self._predictor.observe, features, output_tokens)
            loop = asyncio.get_running_loop()
            learning.add_done_callback(lambda done: _tell(loop, self._learnt, done))

    def close(self) -> None:
        """Let the thread end; what it has not begun is dropped."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _predicted(self, features: RequestFeatures) -> LengthDistribution:
        if self._thread is None:
            return self._counted(self._shares, self._predictor.predict(features), features)
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._predictor.predict, features)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return self._counted(self._shares, await answer, features)
        except TimeoutError:
            self._metrics.predictor_late.inc()
            return self._simpler(features)

    def _simpler(self, features: RequestFeatures) -> LengthDistribution:
        if self._fallback is not None:
            try:
                return self._counted(self._fallback_shares, self._fallback.predict(features), features)
            except Exception as error:  # noqa: BLE001 - as above
                self._failed("predict", error)
        self._metrics.predictions["prior"].inc()
        return PRIOR

    def _counted(
        self, shares: _Shares, length: LengthDistribution, features: RequestFeatures
    ) -> LengthDistribution:
        """Count whose word a prediction is."""
        for tier, share in shares(features).items():
            self._metrics.predictions[tier].inc(share)
        return length

    def _learn(self, predictor: LengthPredictor, features: RequestFeatures, output_tokens: int) -> None:
        try:
            predictor.observe(features, output_tokens)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed("observe", error)

    def _learnt(self, done: "Future[None]") -> None:
        self._unlearnt -= 1
        error = None if done.cancelled() else done.exception()
        if isinstance(error, Exception):
            self._failed("observe", error)

    def _failed(self, what: str, error: Exception) -> None:
        self._metrics.predictor_failures.inc()
        if self._failures % _LOG_EVERY == 0:
            _log.warning(
                "length predictor failed; something simpler serves",
                call=what,
                error=f"{type(error).__name__}: {error}",
            )
        self._failures += 1


def quick(predictor: LengthPredictor, requests: Iterable[RequestFeatures]) -> bool:
    """Tell whether a predictor is quick enough for the event loop; asks it each request, which warms it too.

    By CPU time: what a computation takes of a core the loop loses in a thread too, to the interpreter's lock.
    """
    taken = []
    for request in requests:
        began = time.thread_time()
        predictor.predict(request)
        taken.append(time.thread_time() - began)
    return median(taken) <= QUICK_SECONDS


def _shares(predictor: LengthPredictor | None) -> _Shares:
    """Return what tells whose word a predictor's word is; of one that does not tell, nothing is counted."""
    return predictor.shares if isinstance(predictor, TieredLengthPredictor) else _untold


def _untold(_: RequestFeatures) -> Mapping[str, float]:
    return {}


def _tell(loop: asyncio.AbstractEventLoop, callback: Any, done: "Future[None]") -> None:
    """Call back in the event loop, from the thread; a loop that has closed meanwhile need not know."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback, done)
