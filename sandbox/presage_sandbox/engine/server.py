"""The engine's HTTP side: OpenAI's endpoints, vLLM's health and metrics."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiohttp import web

from presage_sandbox.engine.errors import ApiError
from presage_sandbox.engine.lengths import LENGTH_HEADER, true_length
from presage_sandbox.engine.loop import EngineLoop
from presage_sandbox.engine.metrics import CONTENT_TYPE, Exposition
from presage_sandbox.engine.parameters import read_parameters
from presage_sandbox.engine.replies import EventWriter, whole_answer

if TYPE_CHECKING:
    from presage_sandbox.engine.answer import Answer
    from presage_sandbox.engine.parameters import Parameters
    from presage_sandbox.engine.settings import EngineSettings

MOST_BODY_BYTES = 64 << 20


class EngineServer:
    """One engine's endpoints over its loop; `app` is what a runner serves."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.loop = EngineLoop(settings.profile, settings.time_scale)
        self.stopping = False
        self._started = int(time.time())
        self._exposition = Exposition(self.loop.metrics, self.loop.batch, settings.profile, settings.model)
        self.app = web.Application(client_max_size=MOST_BODY_BYTES)
        self.app.router.add_post("/v1/chat/completions", self._chat)
        self.app.router.add_post("/v1/completions", self._completion)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/health", self._health)
        self.app.router.add_get("/metrics", self._metrics)
        self.app.router.add_route("*", "/{path:.*}", _nothing_here)

    @property
    def ready(self) -> bool:
        """Whether the emulated weights are loaded and the process is not on its way out."""
        return self.loop.now >= self.settings.cold_start_seconds and not self.stopping

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self.ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._exposition.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _models(self, _: web.Request) -> web.Response:
        settings = self.settings
        model = {
            "id": settings.model,
            "object": "model",
            "created": self._started,
            "owned_by": "presage",
            "root": settings.model,
            "parent": None,
            "max_model_len": settings.context_tokens,
        }
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, chat=True)

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        return await self._complete(request, chat=False)

    async def _complete(self, request: web.Request, *, chat: bool) -> web.StreamResponse:
        try:
            parameters = await self._parameters(request, chat=chat)
            answer = self._submit(request, parameters)
        except ApiError as error:
            return _refusal(error)
        answer_id = _answer_id(request, chat=chat)
        try:
            if parameters.stream:
                return await self._stream(request, parameters, answer, answer_id)
            tokens = await answer.end()
            body = whole_answer(parameters, answer_id, int(time.time()), tokens, answer.finish_reason)
            return web.Response(body=body, content_type="application/json")
        finally:
            self.loop.abort(answer)  # the client is gone; nothing happens when the answer is complete

    async def _parameters(self, request: web.Request, *, chat: bool) -> Parameters:
        if not self.ready:
            state = "shutting down" if self.stopping else "still loading its model"
            raise ApiError(503, f"The engine is {state}; retry on another, or when /health answers 200.")
        body = await _json_body(request)
        settings = self.settings
        return read_parameters(body, chat=chat, model=settings.model, context_tokens=settings.context_tokens)

    def _submit(self, request: web.Request, parameters: Parameters) -> Answer:
        length = true_length(request.headers.get(LENGTH_HEADER), parameters, self.settings.seed)
        tokens = min(length, parameters.limit)
        reason = "length" if tokens < length or parameters.ignore_eos else "stop"
        return self.loop.submit(parameters.prompt_tokens, tokens, reason, parameters.priority)

    async def _stream(
        self, request: web.Request, parameters: Parameters, answer: Answer, answer_id: str
    ) -> web.StreamResponse:
        writer = EventWriter(parameters, answer_id, int(time.time()))
        sent = await answer.reach(1)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        )
        await response.prepare(request)
        await response.write(writer.chunk(0, sent, _reason(answer, sent)))
        while sent < answer.output_tokens:
            reached = await answer.reach(min(sent + self.settings.stream_interval, answer.output_tokens))
            await response.write(writer.chunk(sent, reached, _reason(answer, reached)))
            sent = reached
        await response.write_eof(writer.end(sent))
        return response


async def _nothing_here(request: web.Request) -> web.Response:
    return _refusal(
        ApiError(
            404,
            f"This engine has no {request.method} {request.path}: it serves POST /v1/chat/completions and "
            "/v1/completions, GET /v1/models, /health and /metrics.",
        )
    )


def _refusal(error: ApiError) -> web.Response:
    return web.Response(status=error.status, body=error.body(), content_type="application/json")


def _reason(answer: Answer, sent: int) -> str | None:
    return answer.finish_reason if sent == answer.output_tokens else None


def _answer_id(request: web.Request, *, chat: bool) -> str:
    given = request.headers.get("x-request-id") or uuid4().hex
    return f"{'chatcmpl' if chat else 'cmpl'}-{given}"


async def _json_body(request: web.Request) -> Any:
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, f"the request body is larger than {MOST_BODY_BYTES} bytes: shorten it") from None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the request body is not JSON: {error}") from None


async def start(server: EngineServer) -> tuple[web.AppRunner, web.TCPSite, int]:
    """Open the port; give the runner, the listening site and the port (for port 0: the one it got).

    Raises OSError when the port is taken.
    """
    runner = web.AppRunner(server.app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, server.settings.host, server.settings.port, backlog=1024)
    await site.start()
    port: int = runner.addresses[0][1]
    return runner, site, port


async def drain(server: EngineServer, grace_seconds: float) -> bool:
    """Wait until the running answers are complete; False when the grace (real seconds) ran out first."""
    deadline = asyncio.get_running_loop().time() + grace_seconds
    while server.loop.open_answers:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(0.02)
    return True
