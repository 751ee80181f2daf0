"""The kopf side: which LLMServices there are, and when one of them changed.

Nothing is decided here. kopf runs in a thread and event loop of its own, because it cancels every
task of its loop when it stops; events cross over to the operator's loop. There are only `on.event`
handlers: no finalizer, no annotation, so that deletion never waits for this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import kopf
import structlog
from presage_crds import GROUP, PLURAL, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from presage_operator.kube import Object

log = structlog.get_logger(__name__)

RETRY_SECONDS = 2.0
SILENT_WATCH_SECONDS = 70
HANGS_AFTER_SECONDS = 60.0


class Shell:
    """Watches LLMServices and hands every one of them to `on_event(type, object)` in the operator's loop.

    The type is None for objects found by listing, else ADDED, MODIFIED or DELETED.
    """

    def __init__(
        self,
        namespaces: Sequence[str],
        on_event: Callable[[str | None, Object], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._namespaces = namespaces
        self._on_event = on_event
        self._loop = loop
        self._stop = threading.Event()
        self._ended = asyncio.Event()
        self._kopf_loop: asyncio.AbstractEventLoop | None = None
        self._asked_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether kopf's loop still turns: each call asks it to answer, and none waits long for one."""
        now = time.monotonic()
        if self._asked_at is None and self._kopf_loop is not None and not self._kopf_loop.is_closed():
            self._asked_at = now
            self._kopf_loop.call_soon_threadsafe(self._answer)
        return self._asked_at is None or now - self._asked_at < HANGS_AFTER_SECONDS

    def _answer(self) -> None:
        self._asked_at = None

    async def ended(self) -> None:
        """Wait until kopf has stopped, asked or not."""
        await self._ended.wait()

    async def stop(self, patience_seconds: float = 5.0) -> None:
        """Ask kopf to stop and wait for it, within reason."""
        self._stop.set()
        try:
            await asyncio.wait_for(self.ended(), patience_seconds)
        except TimeoutError:
            log.warning("kopf did not stop in time", seconds=patience_seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        except Exception:
            log.exception("kopf failed")
        finally:
            with contextlib.suppress(RuntimeError):  # the operator's loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._ended.set)

    async def _watch(self) -> None:
        self._kopf_loop = asyncio.get_running_loop()
        await kopf.operator(
            registry=self._registry(),
            settings=_settings(),
            clusterwide=not self._namespaces,
            namespaces=list(self._namespaces),
            standalone=True,
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def login(**kwargs: Any) -> Any:
            return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        def changed(event: Any, **_: Any) -> None:
            self._loop.call_soon_threadsafe(self._on_event, event["type"], dict(event["object"]))

        return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # Events are posted by this operator, with reasons
    settings.scanning.disabled = True  # needs no right to read CRDs and namespaces
    settings.networking.request_timeout = 10.0
    settings.networking.connect_timeout = 5.0
    # Endless: an API server that is away for minutes must not end the watch.
    settings.networking.error_backoffs = itertools.repeat(RETRY_SECONDS)
    settings.watching.reconnect_backoff = 0.5
    settings.watching.inactivity_timeout = SILENT_WATCH_SECONDS
    settings.watching.server_timeout = 300
    # Were a handler ever to need them, they would be this project's, not kopf's.
    settings.persistence.finalizer = f"{GROUP}/operator"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    return settings
