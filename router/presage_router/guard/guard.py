"""Lets requests into one engine, no more than it could start at once, and watches them to their end."""

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

import aiohttp
import structlog
from presage_policies.engine import EngineProfile
from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives
from presage_policies.routing import Bid, Candidate, PrefixIndex, cached_tokens

from presage_router import headers
from presage_router.answers import Answer, UnavailableError
from presage_router.config import RouterConfig
from presage_router.engine_body import engine_body
from presage_router.engine_link import EngineLink
from presage_router.errors import Refusal
from presage_router.guard.engine_answer import StreamedAnswer, WholeAnswer
from presage_router.guard.ledger import Admitted, Ledger
from presage_router.jobs import Job
from presage_router.metrics import Metrics
from presage_router.sse import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable

_log = structlog.get_logger("presage.router")
_SELF = "self"


class Guard:
    """The door to one engine.

    `room_gained` is called whenever room may have grown, `others_first` says whether requests wait
    elsewhere that came before: then only pulled ones get in. Times are monotonic seconds.
    """

    def __init__(
        self,
        config: RouterConfig,
        profile: EngineProfile,
        session: aiohttp.ClientSession,
        engine_url: str,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self._metrics = metrics
        self.engine = EngineLink(engine_url, session, self._engine_changed)
        self.ledger = Ledger(profile)
        self._prefixes = PrefixIndex()
        self._objectives = config.objectives.objectives()
        self._connecting = _connecting(config)
        self._numbers = itertools.count()
        self.draining = False
        self.room_gained: Callable[[], None] = _nothing
        self.others_first: Callable[[], bool] = _no

    @property
    def open(self) -> bool:
        """Whether new requests are wanted here at all."""
        return self.engine.ready and not self.draining

    @property
    def objectives(self) -> Objectives:
        """What requests should meet."""
        return self._objectives

    def reconfigure(self, config: RouterConfig, profile: EngineProfile) -> None:
        """Take over a new configuration; requests under way go on."""
        self.config = config
        self._objectives = config.objectives.objectives()
        self._connecting = _connecting(config)
        self.ledger.resize(profile, self.engine.kv_capacity_tokens)

    def bid(
        self, prompt_tokens: int, length: LengthDistribution, prefix: tuple[int, ...], characters: int
    ) -> Bid:
        """Say what a request would cost here; no room while others wait for it already."""
        candidate = self._candidate(prompt_tokens, length, prefix, characters)
        return self.ledger.bid(candidate, time.monotonic(), open_for=self.open and not self.others_first())

    def check_open(self) -> None:
        """Raise UnavailableError unless new requests are wanted here."""
        if self.draining:
            raise UnavailableError("draining", "this instance is draining", certain=True)
        if not self.engine.ready:
            raise UnavailableError("engine-not-ready", "this instance's engine is not ready", certain=True)

    async def serve(self, job: Job, waited: float, reservation: str | None = None) -> Answer:
        """Hand a request to the engine and return its answer when the first token is there.

        Raises Refusal `no-room` or `upstream-timeout`, UnavailableError when another peer should try.
        """
        self.check_open()
        admitted = self._admit(job, waited, reservation)
        try:
            answer = await self._ask_engine(job, admitted)
        except BaseException:
            self._leave(admitted)
            raise
        self._prefixes.record(job.prefix, _SELF)
        return answer

    def expire(self) -> None:
        """Free room that was promised to requests which did not come."""
        if self.ledger.expire(time.monotonic()):
            self.room_gained()

    def _admit(self, job: Job, waited: float, reservation: str | None) -> Admitted:
        now = time.monotonic()
        pulled = self.ledger.redeem(reservation)
        candidate = self._candidate(job.prompt_tokens, job.length, job.prefix, len(job.asked.prompt))
        if not self.ledger.has_room(candidate, now) or (not pulled and self.others_first()):
            raise Refusal("no-room", "the engine could not start this request at once")
        admitted = Admitted(
            key=f"{next(self._numbers)}",
            prompt_tokens=job.prompt_tokens,
            cached_tokens=candidate.cached_tokens,
            predicted_tokens=job.length.mean,
            streams=job.asked.stream,
            admitted_at=now,
            waited=waited,
            prefill_seconds=self.ledger.prefill_seconds(job.prompt_tokens, candidate.cached_tokens),
        )
        self.ledger.admit(admitted)
        return admitted

    def _candidate(
        self, prompt_tokens: int, length: LengthDistribution, prefix: tuple[int, ...], characters: int
    ) -> Candidate:
        _, matched = self._prefixes.owner(prefix)
        return Candidate(
            prompt_tokens, length, self._objectives, cached_tokens(prompt_tokens, matched, characters)
        )

    async def _ask_engine(self, job: Job, admitted: Admitted) -> Answer:
        timeouts = self.config.timeouts
        limit = timeouts.first_byte_seconds if job.asked.stream else timeouts.answer_seconds
        try:
            async with asyncio.timeout(limit):
                response = await self._post(job, admitted)
                return await self._first_token(response, job, admitted)
        except aiohttp.ClientConnectorError as error:
            self.engine.mark_down(f"{type(error).__name__}: {error}")
            raise UnavailableError(
                "engine-not-ready", "the engine refuses connections", certain=True
            ) from error
        except aiohttp.ServerTimeoutError as error:
            raise UnavailableError("upstream-failed", "the engine accepts no connection in time") from error
        except TimeoutError:
            raise Refusal("upstream-timeout", f"the engine gave no token within {limit:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(
                "upstream-failed", f"the engine broke off: {type(error).__name__}"
            ) from error

    async def _post(self, job: Job, admitted: Admitted) -> aiohttp.ClientResponse:
        priority = self._priority(admitted) if self.config.engine_priority else None
        return await self.engine.session.post(
            self.engine.url + job.path,
            data=engine_body(job.body, job.asked, priority),
            headers=headers.to_engine(job.headers.items()),
            timeout=self._connecting,
        )

    async def _first_token(self, response: aiohttp.ClientResponse, job: Job, admitted: Admitted) -> Answer:
        try:
            if response.status == 200 and response.content_type == "text/event-stream":  # noqa: PLR2004 - HTTP's number
                asked = job.asked
                meter = StreamMeter(keep_final=asked.include_usage, keep_continuous=asked.continuous_usage)
                streamed = StreamedAnswer(self, admitted, response, meter, self.config.timeouts.idle_seconds)
                await streamed.reach_first_token()
                return streamed
            return WholeAnswer(self, admitted, response, await response.read())
        except BaseException:
            response.close()
            raise

    def _priority(self, admitted: Admitted) -> int:
        """Milliseconds of arrival at the front: who came first runs first and is preempted last."""
        return int((time.time() - admitted.waited) * 1000)

    def tokens_seen(self, admitted: Admitted, tokens: int, now: float) -> None:
        """Note that a streamed answer has so many tokens by now."""
        former = admitted.generated
        if tokens <= former:
            return
        self.ledger.progress(admitted, tokens, now)
        self._metrics.output_tokens.inc(tokens - former)
        if former == 0:
            self.room_gained()  # its prefill is over: the next one may begin

    def finished(self, admitted: Admitted, tokens: int, prompt_tokens: int | None) -> None:
        """Note that a request was answered to its end, and judge it by the objectives."""
        now = time.monotonic()
        if not admitted.streams:
            self._metrics.output_tokens.inc(tokens)
        self._metrics.served_prompt_tokens.inc(prompt_tokens or admitted.prompt_tokens)
        self._metrics.slo_requests["true" if self._met(admitted, tokens, now) else "false"].inc()
        self._leave(admitted)

    def abandoned(self, admitted: Admitted) -> None:
        """Note that a request left the engine without an end: aborted, failed, or no completion at all."""
        self._leave(admitted)

    def _leave(self, admitted: Admitted) -> None:
        self.ledger.leave(admitted)
        self.room_gained()

    def _met(self, admitted: Admitted, tokens: int, now: float) -> bool:
        """Judge by TTFT and TPOT; an answer that does not stream by the time that both together allow."""
        steps = max(tokens, 1) - 1
        if not admitted.streams:
            allowed = self._objectives.ttft_seconds + steps * self._objectives.tpot_seconds
            return admitted.waited + now - admitted.admitted_at <= allowed
        first = admitted.first_token_at or now
        last = admitted.last_token_at or now
        ttft = admitted.waited + first - admitted.admitted_at
        return self._objectives.met_by(ttft, (last - first) / steps if steps else None)

    def _engine_changed(self, ready: bool) -> None:
        if ready:
            self.ledger.resize(self.ledger.profile, self.engine.kv_capacity_tokens)
            self._prefixes = PrefixIndex()  # a restarted engine has an empty cache
            self.room_gained()


def _connecting(config: RouterConfig) -> aiohttp.ClientTimeout:
    """Return the limit of a connection to the engine; what follows has limits of its own."""
    return aiohttp.ClientTimeout(total=None, sock_connect=config.timeouts.connect_seconds)


def _nothing() -> None:
    pass


def _no() -> bool:
    return False
