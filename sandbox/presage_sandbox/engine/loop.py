"""Steps the batch of `presage_policies.engine` in real or scaled time, one wake-up per iteration.

Iterations end at absolute deadlines: a timer that fires late delays one chunk and no later one.
Where the process is so late that its clock would have to run visibly faster to catch up (a starved
or suspended machine), the debt is dropped and counted, so that latencies show it.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

from presage_policies.engine import Batch, EngineRequest

from presage_sandbox.engine.answer import Answer
from presage_sandbox.engine.metrics import EngineMetrics

if TYPE_CHECKING:
    from presage_policies.engine import EngineProfile, Iteration, StepResult

MOST_LATE_SECONDS = 0.5  # real; below it the loop catches up, above it the clock slips


class EngineLoop:
    """One emulated engine. Times inside are engine seconds since the start of the loop's clock."""

    def __init__(self, profile: EngineProfile, time_scale: float = 1.0) -> None:
        self.batch = Batch(profile)
        self.metrics = EngineMetrics()
        self._scale = time_scale
        self._clock = asyncio.get_running_loop().time
        self._origin = self._clock()
        self._answers: dict[str, Answer] = {}
        self._ids = count(1)
        self._work = asyncio.Event()

    @property
    def now(self) -> float:
        """Engine seconds since the loop was made."""
        return (self._clock() - self._origin) * self._scale

    @property
    def open_answers(self) -> int:
        """Requests in the engine, running or waiting."""
        return len(self._answers)

    def submit(self, prompt_tokens: int, output_tokens: int, finish_reason: str, priority: int = 0) -> Answer:
        """Queue a request (tokens; lower priority runs first) and give its answer in progress.

        Raises ValueError when it could never fit the KV cache.
        """
        now = self.now
        request_id = f"r{next(self._ids)}"
        self.batch.add(EngineRequest(request_id, now, prompt_tokens, output_tokens, priority))
        answer = Answer(request_id, now, prompt_tokens, output_tokens, finish_reason)
        self._answers[request_id] = answer
        self._work.set()
        return answer

    def abort(self, answer: Answer) -> None:
        """Take an unfinished request out and free its KV at once; a finished one is left as it is."""
        if self.batch.abort(answer.request_id):
            del self._answers[answer.request_id]
            self.metrics.finished["abort"] += 1
            answer.finish()

    async def run(self) -> None:
        """Step until cancelled."""
        at = self.now
        while True:
            iteration = self._begin(at)
            if iteration is None:
                self._work.clear()
                await self._work.wait()
                at = self.now
                continue
            at += iteration.seconds
            await asyncio.sleep(max(0.0, (at - self.now) / self._scale))
            self._deliver(self.batch.complete(iteration), at)
            at = self._keep_up(at)

    def _begin(self, at: float) -> Iteration | None:
        iteration = self.batch.begin(at)
        while iteration is None and self.batch.running:  # a step that only preempted
            iteration = self.batch.begin(at)
        self.metrics.preemptions = self.batch.preemptions
        return iteration

    def _deliver(self, result: StepResult, at: float) -> None:
        """Pass tokens that came out at engine time `at` on to the connections."""
        metrics = self.metrics
        metrics.generation_tokens += len(result.tokens)
        gap_start, gaps = None, 0
        for request_id, generated in result.tokens:
            answer = self._answers[request_id]
            previous = answer.last_token_at
            answer.advance(generated, at)
            if previous is None:
                metrics.prompt_tokens += answer.prompt_tokens
                metrics.time_to_first_token.observe(at - answer.arrival)
            elif previous == gap_start:
                gaps += 1
            else:
                if gap_start is not None:
                    metrics.inter_token_latency.observe(at - gap_start, gaps)
                gap_start, gaps = previous, 1
        if gap_start is not None:
            metrics.inter_token_latency.observe(at - gap_start, gaps)
        for request_id in result.finished:
            answer = self._answers.pop(request_id)
            metrics.finished[answer.finish_reason] += 1
            metrics.e2e_request_latency.observe(at - answer.arrival)
            answer.finish()

    def _keep_up(self, at: float) -> float:
        late = (self.now - at) / self._scale
        if late <= MOST_LATE_SECONDS:
            return at
        self.metrics.slipped_seconds += late
        return self.now
