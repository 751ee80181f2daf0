"""The sidecar's own engine: is it ready, how much KV has it, and the way to it."""

import asyncio
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
        self.kv_capacity_tokens = await self._read_kv_capacity()
        self.ready = True
        _log.info("engine is ready", kv_capacity_tokens=self.kv_capacity_tokens)
        self._on_change(True)

    async def _read_kv_capacity(self) -> int | None:
        """Ask the engine how many tokens its KV cache holds; None when it does not tell."""
        timeout = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
        try:
            async with self.session.get(f"{self.url}/metrics", timeout=timeout) as response:
                text = await response.text() if response.status == 200 else ""  # noqa: PLR2004 - HTTP's number
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            _log.warning("engine tells no KV capacity; the profile's is used", error=str(error))
            return None
        return kv_capacity(text)


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
