"""Sidecars and small engines in one event loop, with real sockets on 127.0.0.x and peers from a file."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from presage_policies.lengths import LengthDistribution, RequestFeatures
from presage_router.config import RouterConfig
from presage_router.file_watch import FileWatch
from presage_router.front.lengths import Predictors
from presage_router.live_config import LiveConfig
from presage_router.sidecar import Places, Sidecar

MODEL = "test/model"
CHAT = "/v1/chat/completions"
PROFILE = {
    "name": "test",
    "coefficients": {
        "fixed": 0.001,
        "per_token": 0.0,
        "per_sequence": 0.0,
        "per_kv_token": 0.0,
        "per_prefill_attention": 0.0,
    },
    "kv_capacity_tokens": 4096,
    "max_sequences": 8,
    "token_budget": 4096,
}


class FixedLength:
    """Predicts one length for all and remembers what it was taught."""

    def __init__(self, tokens: float = 8) -> None:
        self.tokens = tokens
        self.seen: list[tuple[RequestFeatures, int]] = []

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Return the one length, cut at `max_tokens`."""
        return LengthDistribution.constant(self.tokens).capped(features.max_tokens)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Remember the pair."""
        self.seen.append((features, output_tokens))


@dataclass
class SmallEngine:
    """An OpenAI server that does what the test says. A request's `max_tokens` is its length."""

    token_seconds: float = 0.001
    tokens_a_chunk: int = 1
    first_token: asyncio.Event = field(default_factory=asyncio.Event)  # holds all prefills until set
    go_on: asyncio.Event = field(default_factory=asyncio.Event)  # holds all decoding until set
    healthy: bool = True
    usage: bool = True
    padding: int = 0  # characters that make every token longer
    die_after: int | None = None  # tokens after which the connection is cut
    end_early_after: int | None = None  # tokens after which the stream ends without [DONE]
    status: int = 200
    max_model_len: int | None = None  # told where it is known
    metrics: str = 'vllm:cache_config_info{block_size="16",num_gpu_blocks="256"} 1.0\n'
    running: int = 0
    most_running: int = 0
    aborted: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    port: int = 0
    host: str = "127.0.0.1"
    runner: web.AppRunner | None = None

    def __post_init__(self) -> None:
        self.first_token.set()
        self.go_on.set()

    async def start(self, host: str, port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        app = web.Application(client_max_size=2**26)
        app.add_routes(
            [
                web.post(CHAT, self.complete),
                web.post("/v1/completions", self.complete),
                web.get("/v1/models", self.models),
                web.get("/health", self.health),
                web.get("/metrics", self.metrics_page),
            ]
        )
        self.runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
        await self.runner.setup()
        site = web.TCPSite(self.runner, host, port)
        await site.start()
        self.host = host
        self.port = self.runner.addresses[0][1]
        self.url = f"http://{host}:{self.port}"

    async def stop(self) -> None:
        """Close the listener and cut every connection."""
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def health(self, _: web.Request) -> web.Response:
        """Answer as the test says."""
        return web.Response(status=200 if self.healthy else 503)

    async def metrics_page(self, _: web.Request) -> web.Response:
        """Answer the KV capacity."""
        return web.Response(text=self.metrics)

    async def models(self, _: web.Request) -> web.Response:
        """List one model."""
        model: dict[str, Any] = {"id": MODEL, "object": "model"}
        if self.max_model_len is not None:
            model["max_model_len"] = self.max_model_len
        return web.json_response({"object": "list", "data": [model]})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Serve one completion."""
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if self.status != 200:
            return web.json_response({"error": {"message": "no", "code": "no"}}, status=self.status)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._answer(request, body)
        except (asyncio.CancelledError, ConnectionError):
            self.aborted += 1
            raise
        finally:
            self.running -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        tokens = int(body.get("max_tokens") or 4)
        if not body.get("stream"):
            await self.first_token.wait()
            await self.go_on.wait()
            await asyncio.sleep(tokens * self.token_seconds)
            usage = _usage(body, tokens)
            message = {"role": "assistant", "content": "x " * tokens}
            choices = [{"index": 0, "message": message, "finish_reason": "length"}]
            return web.json_response({"object": "chat.completion", "choices": choices, "usage": usage})
        return await self._stream(request, body, tokens)

    async def _stream(self, request: web.Request, body: dict[str, Any], tokens: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        wanted = self.usage and bool((body.get("stream_options") or {}).get("include_usage"))
        await response.write(self._event({"role": "assistant", "content": ""}, 0 if wanted else None))
        await self.first_token.wait()
        for sent in range(self.tokens_a_chunk, tokens + 1, self.tokens_a_chunk):
            if sent > self.tokens_a_chunk:
                await self.go_on.wait()
                await asyncio.sleep(self.token_seconds)
            await response.write(
                self._event({"content": f" t{sent}" + "." * self.padding}, sent if wanted else None)
            )
            if self.die_after is not None and sent >= self.die_after:
                assert request.transport is not None
                request.transport.abort()
                raise ConnectionResetError
            if self.end_early_after is not None and sent >= self.end_early_after:
                return response
        if wanted:
            usage = _usage(body, tokens)
            await response.write(_sse({"choices": [], "usage": usage}))
        await response.write(b"data: [DONE]\n\n")
        return response

    @staticmethod
    def _event(delta: dict[str, str], tokens: int | None) -> bytes:
        event: dict[str, Any] = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
        if tokens is not None:
            event["usage"] = {"prompt_tokens": 5, "completion_tokens": tokens}
        return _sse(event)


def _usage(body: dict[str, Any], tokens: int) -> dict[str, int]:
    """Four characters a token, sixteen for each message's frame."""
    prompt = round(sum(len(m["content"]) + 16 for m in body.get("messages", [])) / 4)
    return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}


def _sse(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


@dataclass
class Pod:
    """One engine and its sidecar."""

    engine: SmallEngine
    sidecar: Sidecar
    places: Places
    predictor: FixedLength

    @property
    def url(self) -> str:
        """Where clients come in."""
        return f"http://{self.places.front[0]}:{self.places.front[1]}"

    @property
    def peer_url(self) -> str:
        """Where sidecars, probes and Prometheus come in."""
        return f"http://{self.places.peer[0]}:{self.places.peer[1]}"

    @property
    def id(self) -> str:
        """Its name among sidecars."""
        return f"{self.places.peer[0]}:{self.places.peer[1]}"

    def metric(self, name: str, **labels: str) -> float:
        """Read one sample of this sidecar's own registry."""
        labels |= {"service": "chat", "namespace": "default"}
        value = self.sidecar.metrics.registry.get_sample_value(f"presage_router_{name}", labels)
        assert value is not None, f"no such series: {name} {labels}"
        return value


class Fleet:
    """Makes pods that know each other by one peers file, and a client to speak to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pods: list[Pod] = []
        self.peers_file = folder / "peers.json"
        self.stack = contextlib.AsyncExitStack()
        self.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.profile = folder / "profile.yaml"

    def publish(self, pods: list[Pod] | None = None) -> None:
        """Write the peers file."""
        listed = self.pods if pods is None else pods
        entries = [{"front": p.url.removeprefix("http://"), "peer": p.id} for p in listed]
        self.peers_file.write_text(json.dumps(entries))

    def config(self, **changes: Any) -> RouterConfig:
        """Return a configuration for tests: short waits, no linger."""
        if not self.profile.exists():
            self.profile.write_text(json.dumps(PROFILE))
        timeouts = {"connectSeconds": 1, "firstByteSeconds": 10, "idleSeconds": 10, "lingerSeconds": 0}
        document = {
            "service": "chat",
            "model": MODEL,
            "profile": str(self.profile),
            "bidMilliseconds": 1000,
            "queue": {"maxRequests": 100, "maxWaitSeconds": 10},
            **changes,
            "timeouts": timeouts | changes.get("timeouts", {}),
        }
        return RouterConfig.parse(json.dumps(document), "test")

    async def add(
        self,
        engine: SmallEngine | None = None,
        config: RouterConfig | None = None,
        predictor: FixedLength | None = None,
        *,
        ready: bool = True,
        publish: bool = True,
    ) -> Pod:
        """Start an engine and its sidecar, add it to the peers file, wait until it is ready."""
        host = f"127.0.0.{len(self.pods) + 1}"
        engine = engine or SmallEngine()
        await engine.start(host)
        self.stack.push_async_callback(engine.stop)
        places = Places(
            engine=engine.url,
            front=(host, free_port(host)),
            peer=(host, free_port(host)),
            advertise=host,
            peers_file=self.peers_file,
        )
        predictor = predictor or FixedLength()
        live = LiveConfig(None, config or self.config())
        sidecar = Sidecar(places, live, Predictors(predictor), seed=len(self.pods))
        pod = Pod(engine, sidecar, places, predictor)
        self.pods.append(pod)
        if publish or not self.peers_file.exists():
            self.publish()
        await sidecar.start()
        self.stack.push_async_callback(sidecar.stop)
        if ready:
            await until(lambda: sidecar.guard.open)
        return pod

    async def know_each_other(self) -> None:
        """Wait until every sidecar has read the whole peers file."""
        await until(lambda: all(len(p.sidecar.table.others) == len(self.pods) - 1 for p in self.pods))

    async def close(self) -> None:
        """Stop everything."""
        await self.client.close()
        await self.stack.aclose()

    def chat(self, pod: Pod, tokens: int | None = 4, *, stream: bool = True, **more: Any) -> Any:
        """Begin a chat request at a pod's front (an async context manager)."""
        headers = more.pop("headers", {})
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": tokens,
            "stream": stream,
            **more,
        }
        return self.client.post(pod.url + CHAT, json=body, headers=headers)

    async def answer(self, pod: Pod, tokens: int | None = 4, **more: Any) -> tuple[int, str]:
        """Send a chat request; return status and whole body."""
        async with self.chat(pod, tokens, **more) as response:
            return response.status, await response.text()


def free_port(host: str) -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as it:
        it.bind((host, 0))
        port: int = it.getsockname()[1]
        return port


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for something to become true; fail the test when it does not."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of any kind, not events
            await asyncio.sleep(0.005)


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    """Give an empty fleet that looks at its files often; everything it started is stopped afterwards."""
    monkeypatch.setattr(FileWatch, "INTERVAL_SECONDS", 0.03)
    it = Fleet(tmp_path)
    yield it
    await it.close()


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Give `until`."""
    return until


@pytest.fixture
def small_engine() -> type[SmallEngine]:
    """Give the engine's class, for tests that set it up themselves."""
    return SmallEngine


@pytest.fixture
def fixed_length() -> type[FixedLength]:
    """Give the predictor's class."""
    return FixedLength
