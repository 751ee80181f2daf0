"""Takes a client's request from the first byte to the last."""

import time

import structlog
from aiohttp import web
from presage_policies.lengths import RequestFeatures
from presage_policies.routing import prefix_blocks

from presage_router import headers
from presage_router.answers import Answer, UnavailableError
from presage_router.asked import ANONYMOUS, Asked, read_body, understand
from presage_router.bodies import bounded_body
from presage_router.config import RouterConfig
from presage_router.errors import Refusal
from presage_router.front.lengths import SafePredictor
from presage_router.front.placing import Placing
from presage_router.front.queue import FrontQueue
from presage_router.front.reach import Reach
from presage_router.front.trace import Trace
from presage_router.guard.api import engine_models
from presage_router.guard.guard import Guard
from presage_router.jobs import Job
from presage_router.metrics import Metrics
from presage_router.prompt_size import PromptSizer
from presage_router.relay import relay

_log = structlog.get_logger("presage.router.access")
_LONGEST_CLIENT = 256
_LOW, _HIGH = 0.05, 0.95  # the 90 % interval of a predicted length
_SERVER_ERROR = 500
_CLIENT_ERROR = 400
_CLIENT_LEFT = 499
_OURS_TO_ANSWER_FOR = ("upstream-failed", "upstream-timeout")


class Front:
    """The front listener's handlers."""

    def __init__(  # noqa: PLR0917 - its parts, wired once
        self,
        config: RouterConfig,
        guard: Guard,
        reach: Reach,
        queue: FrontQueue,
        placing: Placing,
        predictor: SafePredictor,
        metrics: Metrics,
    ) -> None:
        self._config = config
        self._guard = guard
        self._reach = reach
        self._queue = queue
        self._placing = placing
        self._predictor = predictor
        self._metrics = metrics
        self._sizer = PromptSizer()
        self.relays = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for the front listener."""
        return [
            web.post("/v1/chat/completions", self.complete),
            web.post("/v1/completions", self.complete),
            web.get("/v1/models", self.models),
            web.route("*", "/{path:.*}", self.unknown),
        ]

    def reconfigure(self, config: RouterConfig) -> None:
        """Take over a new configuration for the requests to come."""
        self._config = config
        self._reach.config = config
        self._queue.reconfigure(config.queue, config.objectives.objectives())
        self._placing.reconfigure(config)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Serve one completion; whatever happens is counted once and logged once."""
        trace = Trace(headers.request_id(request.headers), request.path, time.monotonic())
        outcome = "cancelled"
        self.relays += 1
        try:
            response = await self._serve(request, trace)
            outcome = "ok" if trace.status < _CLIENT_ERROR and not trace.reason else _failure(trace)
        except Refusal as refusal:
            response = self._refused(refusal, trace)
            outcome = _failure(trace)
        except ConnectionError:
            response = web.Response(status=_CLIENT_LEFT)  # nobody reads this
        except Exception:
            outcome, trace.status, trace.reason = "error", _SERVER_ERROR, "internal"
            _log.exception("request failed inside the sidecar", request_id=trace.request_id)
            raise
        finally:
            self.relays -= 1
            self._account(trace, outcome)
        return response

    async def models(self, _: web.Request) -> web.StreamResponse:
        """Return the list of models, of the own engine or of any ready peer."""
        try:
            self._guard.check_open()
            status, body, kind = await engine_models(self._guard)
        except UnavailableError:
            found = await self._reach.models()
            if found is None:
                return Refusal("no-endpoints", "no instance is ready").response()
            status, body, kind = found
        return web.Response(status=status, body=body, content_type=kind)

    async def unknown(self, request: web.Request) -> web.Response:
        """Say what is served here, in the form that OpenAI's clients understand."""
        served = "POST /v1/chat/completions, POST /v1/completions and GET /v1/models"
        return Refusal(
            "not-found", f"{request.method} {request.path} is not served here: {served} are"
        ).response()

    async def _serve(self, request: web.Request, trace: Trace) -> web.StreamResponse:
        job, features = await self._read(request, trace)
        answer = await self._placing.place(job, trace)
        trace.first_byte_at = time.monotonic()
        trace.status = answer.status
        try:
            sent = headers.to_client(answer.headers)
            sent[headers.REQUEST_ID] = trace.request_id
            if request.headers.get(headers.EXPLAIN) == "1":
                sent[headers.EXPLANATION] = trace.explanation()
            response = await relay(request, answer, sent)
            if answer.died:
                trace.reason = "upstream-failed"
            return response
        finally:
            answer.close()
            self._learn(job.asked, features, answer, trace)

    async def _read(self, request: web.Request, trace: Trace) -> tuple[Job, RequestFeatures]:
        """Read the request and predict its length. Raises Refusal when it cannot be read."""
        body = await bounded_body(request, self._config.max_body_bytes, self._config.timeouts.idle_seconds)
        asked = understand(read_body(body))
        client = request.headers.get(headers.CLIENT, "")[:_LONGEST_CLIENT] or asked.user
        prompt_tokens = self._sizer.estimate(asked)
        features = RequestFeatures(
            client=client or ANONYMOUS,
            model=asked.model or self._config.model,
            prompt_tokens=prompt_tokens,
            max_tokens=asked.max_tokens,
            prompt=asked.prompt,
            tools=asked.tools,
            response_format=asked.response_format,
            temperature=asked.temperature,
            session=request.headers.get(headers.SESSION, "")[:_LONGEST_CLIENT] or asked.session,
            context_tokens=self._guard.engine.context_tokens,
        )
        length = await self._predictor.predict(features)
        self._metrics.prompt_tokens.inc(prompt_tokens)
        self._metrics.predicted_output_tokens.inc(length.mean)
        trace.model, trace.stream = features.model, asked.stream
        trace.prompt_tokens, trace.length, trace.policy = prompt_tokens, length, self._placing.policy
        onward = headers.onward(request.headers)
        onward[headers.REQUEST_ID] = trace.request_id
        job = Job(
            request_id=trace.request_id,
            path=request.path,
            body=body,
            headers=onward,
            client=features.client,
            asked=asked,
            prompt_tokens=prompt_tokens,
            length=length,
            prefix=prefix_blocks(asked.prompt),
            arrived=trace.arrived,
        )
        return job, features

    def _refused(self, refusal: Refusal, trace: Trace) -> web.Response:
        response = refusal.response()
        response.headers[headers.REQUEST_ID] = trace.request_id
        trace.status, trace.reason = refusal.status, refusal.reason
        return response

    def _learn(self, asked: Asked, features: RequestFeatures, answer: Answer, trace: Trace) -> None:
        """Learn from an answer that came to its end; one cut short tells nothing about its length."""
        summary = answer.summary
        if summary is None or answer.died:
            return
        trace.output_tokens = summary.output_tokens
        if trace.length is not None:
            self._metrics.length_error.observe(trace.length.mean - summary.output_tokens)
            self._metrics.absolute_length_error.inc(abs(trace.length.median - summary.output_tokens))
            within = trace.length.quantile(_LOW) <= summary.output_tokens <= trace.length.quantile(_HIGH)
            self._metrics.lengths_within["true" if within else "false"].inc()
        self._metrics.request_prompt_tokens.observe(summary.prompt_tokens or features.prompt_tokens)
        self._metrics.request_output_tokens.observe(summary.output_tokens)
        if self._config.predictor_learns:
            self._predictor.observe(features, summary.output_tokens)
        if summary.prompt_tokens is not None:
            self._sizer.learn(asked, summary.prompt_tokens)

    def _account(self, trace: Trace, outcome: str) -> None:
        now = time.monotonic()
        metrics = self._metrics
        metrics.requests[outcome].inc()
        if outcome == "ok":
            metrics.e2e.observe(now - trace.arrived)
            metrics.queue.observe(trace.queued_seconds)
            if trace.stream and trace.first_byte_at is not None:
                metrics.ttft.observe(trace.first_byte_at - trace.arrived)
                steps = (trace.output_tokens or 0) - 1
                if steps > 0:
                    metrics.tpot.observe((now - trace.first_byte_at) / steps)
        _log.info("request", **trace.access_line(outcome, now - trace.arrived))


def _failure(trace: Trace) -> str:
    """Return the outcome of a request that did not end well: our side's error, or turned away."""
    if trace.reason in _OURS_TO_ANSWER_FOR or (trace.status >= _SERVER_ERROR and not trace.reason):
        return "error"
    return "rejected"
