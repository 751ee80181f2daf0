"""The load generator: the same requests to every service at the same instants, open loop.

Requests leave by an absolute schedule whether or not earlier ones were answered, as users do; a
generator that waits for answers would spare the slower service. Each request has a connection of its
own, so that neither service keeps clients at pods that existed when they first connected.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from presage_cli.demo.plan import Plan
from presage_cli.demo.records import Outcome, PredictedLength, Progress, RequestRecord
from presage_cli.demo.schedule import Arrival
from presage_cli.demo.stream import AnswerStream

LENGTH_HEADER = "x-emulated-output-tokens"  # only the emulated engine reads it
EXPLAIN_HEADER, EXPLANATION_HEADER = "x-presage-explain", "x-presage-explanation"
CHARACTERS_PER_TOKEN = 4  # the emulated engine's rule for prompts
CONNECT_SECONDS = 5.0
OK = 200
LATENESS_KEPT = 500

Emit = Callable[[str], None]


def print_line(line: str) -> None:
    """Write one line at once: the log is read while the replay runs."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def prompt_text(number: int, tokens: int) -> str:
    """Make a prompt of that many tokens by the engine's rule, unlike every other from its start on."""
    size = tokens * CHARACTERS_PER_TOKEN
    head = f"{number:x}. "
    return (head + "tell me more " * (size // len("tell me more ") + 1))[:size]


@dataclass
class _Attempt:
    """One request to one service while it runs; times are seconds from the start of what counts."""

    service: str
    number: int
    arrival: Arrival
    stream: AnswerStream = field(default_factory=AnswerStream)
    sent_at: float = 0.0
    status: int = 0
    reason: str = ""
    predicted: PredictedLength | None = None

    def record(self, ended_at: float) -> RequestRecord:
        """Say how it fared."""
        at, stream = self.arrival.at, self.stream
        outcome, tpot = outcome_of(stream, self.status), stream.seconds_per_token()
        return RequestRecord(
            service=self.service,
            number=self.number,
            at=round(at, 4),
            outcome=outcome,
            status=self.status,
            reason=stream.error or self.reason,
            sent_late_ms=_milliseconds(self.sent_at - at),
            ttft_ms=None if stream.first_at is None else _milliseconds(stream.first_at - at),
            tpot_ms=None if tpot is None else _milliseconds(tpot),
            e2e_ms=_milliseconds(ended_at - at) if outcome is Outcome.COMPLETED else None,
            prompt_tokens=self.arrival.prompt_tokens,
            output_tokens=stream.output_tokens or 0,
            predicted=self.predicted,
        )


class Replay:
    """Sends a schedule to every service.

    `urls` maps a service's name to its base URL; `starts_at` is the wall-clock second at which the
    part that counts begins. Requests whose instant passed before the replay ran are left out for all.
    """

    def __init__(
        self, plan: Plan, arrivals: Sequence[Arrival], urls: Mapping[str, str], starts_at: float, emit: Emit
    ) -> None:
        self._plan = plan
        self._arrivals = arrivals
        self._urls = {name: url.rstrip("/") + "/v1/chat/completions" for name, url in urls.items()}
        self._zero = time.monotonic() + (starts_at - time.time())
        self._emit = emit
        self._sent = 0
        self._lateness: deque[float] = deque(maxlen=LATENESS_KEPT)
        self._lateness_max = 0.0
        self._open: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send everything, wait for the answers up to the plan's limit, then report the end."""
        progress = asyncio.create_task(self._report_progress())
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                await self._send_all(session)
                await self._drain()
        finally:
            progress.cancel()
        self._emit(self._progress(finished=True).as_line())

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        for number, arrival in enumerate(self._arrivals):
            wait = self._zero + arrival.at - time.monotonic()
            if wait < 0 and self._sent == 0:
                continue
            if wait > 0:
                await asyncio.sleep(wait)
            self._note_lateness(self._now() - arrival.at)
            for service, url in self._urls.items():
                self._start(self._one(session, url, _Attempt(service, number, arrival)))

    def _start(self, request: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(request)
        self._sent += 1
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _drain(self) -> None:
        """Wait for open answers; cut what is open at the limit (it then counts as lost)."""
        if not self._open:
            return
        _, late = await asyncio.wait(set(self._open), timeout=self._plan.drain_limit_seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _one(self, session: aiohttp.ClientSession, url: str, attempt: "_Attempt") -> None:
        stream = attempt.stream
        headers = {LENGTH_HEADER: str(attempt.arrival.output_tokens), EXPLAIN_HEADER: "1"}
        attempt.sent_at = self._now()
        try:
            async with session.post(url, json=self._body(attempt), headers=headers) as answer:
                attempt.status = answer.status
                attempt.predicted = PredictedLength.explained(answer.headers.get(EXPLANATION_HEADER))
                if answer.status == OK:
                    async for piece in answer.content.iter_any():
                        stream.feed(piece, self._now())
                else:
                    attempt.reason = answer.headers.get("x-presage-reason") or (await answer.text())[:200]
        except asyncio.CancelledError:
            attempt.reason = "not answered when the replay ended"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            attempt.reason = f"{type(error).__name__}: {error}"
        self._emit(attempt.record(self._now()).as_line())

    def _body(self, attempt: "_Attempt") -> dict[str, object]:
        return {
            "model": self._plan.model,
            "messages": [
                {"role": "user", "content": prompt_text(attempt.number, attempt.arrival.prompt_tokens)}
            ],
            "max_tokens": self._plan.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def _report_progress(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._emit(self._progress(finished=False).as_line())

    def _progress(self, *, finished: bool) -> Progress:
        ordered = sorted(self._lateness)
        p99 = ordered[int(0.99 * (len(ordered) - 1))] if ordered else 0.0
        return Progress(
            at=round(self._now(), 3),
            sent=self._sent,
            in_flight=len(self._open),
            late_p99_ms=_milliseconds(p99),
            late_max_ms=_milliseconds(self._lateness_max),
            finished=finished,
        )

    def _note_lateness(self, seconds: float) -> None:
        self._lateness.append(seconds)
        self._lateness_max = max(self._lateness_max, seconds)

    def _now(self) -> float:
        """Seconds since the part that counts began (negative during warm-up)."""
        return time.monotonic() - self._zero


def outcome_of(stream: AnswerStream, status: int) -> Outcome:
    """Judge one answer: accepted requests that got neither an end nor an error event are lost."""
    if status != OK or stream.error is not None:
        return Outcome.FAILED
    return Outcome.COMPLETED if stream.done else Outcome.LOST


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
