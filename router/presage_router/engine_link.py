"""The sidecar's own engine: is it ready, how much KV and context has it, and the way to it."""

import asyncio
import json
import re
from collections.abc import Callable

import aiohttp
import structlog

_log = structlog.get_logger("presage.router")
_POLL_SECONDS = 1.0
_POLL_UNREADY_SECONDS = 0.25  # a pod that has just become able to serve should not wait for a long poll
_PROBE_SECONDS = 2.0
_MISSES_BEFORE_DOWN = 3  # a slow answer is no death; a refused connection is
_CACHE_INFO = re.compile(r"^vllm:cache_config_info\{([^}]*)\}", re.MULTILINE)
_CACHE_LABEL = re.compile(r'(\w+)="([^"]*)"')


class EngineLink:
    """Follows one engine's health. `on_change` is called with the new readiness."""

    def __init__(self, url: str, session: aiohttp.ClientSession, on_change: Callable[[bool], None]) -> None:
        self.url = url
        self.session = session
        self.ready = False
        self.kv_capacity_tokens: int | None = None
        self.context_tokens: int | None = None
        self._on_change = on_change
        self._misses = 0

    async def run(self) -> None:
        """Poll `/health` until cancelled."""
        while True:
            await self._poll()
            await asyncio.sleep(_POLL_SECONDS if self.ready else _POLL_UNREADY_SECONDS)

    def mark_down(self, why: str) -> None:
        """Note at once that the engine does not serve; the next successful poll brings it back."""
        if self.ready:
            self.ready = False
            _log.warning("engine is down", why=why)
            self._on_change(False)

    async def _poll(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
        try:
            async with self.session.get(f"{self.url}/health", timeout=timeout) as response:
                healthy = response.status == 200  # noqa: PLR2004 - HTTP's number
                why = f"/health answered {response.status}"
        except aiohttp.ClientConnectorError as error:
            self.mark_down(f"{type(error).__name__}: {error}")
            return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._misses += 1
            if self._misses >= _MISSES_BEFORE_DOWN:
                self.mark_down(f"/health failed {self._misses} times: {type(error).__name__}: {error}")
            return
        self._misses = 0
        if not healthy:
            self.mark_down(why)
        elif not self.ready:
            await self._become_ready()

    async def _become_ready(self) -> None:
        metrics, models = await asyncio.gather(self._page("/metrics"), self._page("/v1/models"))
        self.kv_capacity_tokens = kv_capacity(metrics)
        self.context_tokens = context_tokens(models)
        self.ready = True
        _log.info(
            "engine is ready",
            kv_capacity_tokens=self.kv_capacity_tokens,
            context_tokens=self.context_tokens,
        )
        self._on_change(True)

    async def _page(self, path: str) -> str:
        """Return a page of the engine; empty when it has none, for what it would tell has a substitute."""
        timeout = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
        try:
            async with self.session.get(f"{self.url}{path}", timeout=timeout) as response:
                return await response.text() if response.status == 200 else ""  # noqa: PLR2004 - HTTP's number
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            _log.warning("engine does not tell what it holds", page=path, error=str(error))
            return ""


def kv_capacity(metrics: str) -> int | None:
    """Return block_size · num_gpu_blocks of `vllm:cache_config_info`, in tokens; None where absent."""
    found = _CACHE_INFO.search(metrics)
    if found is None:
        return None
    labels = dict(_CACHE_LABEL.findall(found[1]))
    try:
        tokens = int(labels["block_size"]) * int(labels["num_gpu_blocks"])
    except (KeyError, ValueError):
        return None
    return tokens if tokens > 0 else None


def context_tokens(models: str) -> int | None:
    """Return the largest `max_model_len` in a list of models (vLLM, SGLang), in tokens; None where absent."""
    try:
        entries = json.loads(models)["data"]
        lengths = [entry.get("max_model_len") for entry in entries]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    known = [n for n in lengths if isinstance(n, int) and not isinstance(n, bool) and n > 0]
    return max(known, default=None)
