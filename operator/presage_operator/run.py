"""Puts the operator together and runs it until it is told to stop.

The composition root (`presage operator`) hands in the forecasters; everything else is made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog
from presage_crds import API_VERSION, PLURAL

from presage_operator.keeper import Keeper, Tools
from presage_operator.kube import ApiError, KubeApi
from presage_operator.lease import LeaseGate, LeaseSettings
from presage_operator.metrics import Metrics
from presage_operator.prometheus import PrometheusServers
from presage_operator.registry import Registry
from presage_operator.server import HttpServer
from presage_operator.shell import Shell
from presage_operator.targets import Targets
from presage_operator.weights import WeightsWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from presage_crds import Forecast
    from presage_policies.forecasting import Forecaster

    from presage_operator.settings import OperatorSettings
    from presage_operator.weights import Weights

log = structlog.get_logger(__name__)

CRD_RETRY_SECONDS = 2.0
THINKING_THREADS = 2


class StartError(RuntimeError):
    """The operator cannot start; the message says what to mend."""


class Operator:
    """One operator process; `forecaster` builds what a service asks for, some of it with `weights`."""

    def __init__(
        self,
        api: KubeApi,
        settings: OperatorSettings,
        forecaster: Callable[[Forecast], Forecaster],
        weights: Weights,
    ) -> None:
        self._api = api
        self._settings = settings
        self._prometheus = PrometheusServers(settings.prometheus_timeout_seconds)
        self._thinking = ThreadPoolExecutor(THINKING_THREADS, thread_name_prefix="forecast")
        self._metrics = Metrics()
        self._weights = WeightsWatch(weights, self._metrics)
        self._gate = LeaseGate(api, _lease_settings(settings), self._lead)
        self.registry = Registry(lambda raw: Keeper(raw, self._tools))
        self._tools = Tools(
            api=api,
            targets=Targets(api),
            metrics=self._metrics,
            forecaster=forecaster,
            weights=self._weights,
            may_act=lambda: self._gate.leading,
            rival=self.registry.rival,
            prometheus=self._prometheus,
            thinking=self._thinking,
            passes=asyncio.Semaphore(settings.concurrent_passes),
            identity=settings.identity,
        )
        self._shell = Shell(settings.namespaces, self.registry.event, asyncio.get_running_loop())
        self.server = HttpServer(self._metrics, self._live, self._ready, self.registry.recommendation)
        self._watching = False

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises RuntimeError when the watch ends unasked."""
        await self._listen()
        log.info("serving", port=self.server.port, identity=self._settings.identity)
        self._weights.look()
        stopped = asyncio.create_task(stop.wait())
        gate: asyncio.Task[None] | None = None
        try:
            if not await self._api_served(stopped):
                return
            self._shell.start()
            self._watching = True
            gate = asyncio.create_task(self._gate.run(), name="lease")
            ended = asyncio.create_task(self._shell.ended())
            await asyncio.wait({stopped, gate, ended}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if not stopped.done():
                raise RuntimeError("the watch or the lease loop ended unasked; see the log above")
        finally:
            stopped.cancel()
            await self._close(gate)

    async def _listen(self) -> None:
        host, port = self._settings.host, self._settings.port
        try:
            await self.server.start(host, port)
        except OSError as error:
            raise StartError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
            ) from error

    async def _close(self, gate: asyncio.Task[None] | None) -> None:
        """Stop acting first, then hand over the lease, then the rest."""
        await self.registry.close()
        if gate is not None:
            gate.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await gate
        if self._watching:
            await self._shell.stop()
        await self.server.stop()
        self._prometheus.close()
        self._thinking.shutdown(wait=False, cancel_futures=True)

    def _lead(self, leading: bool) -> None:
        self._metrics.leader.set(int(leading))
        self.registry.lead(leading)

    async def _api_served(self, stopped: asyncio.Task[bool]) -> bool:
        """Wait until the API server serves LLMServices; False when told to stop before."""
        while not stopped.done():
            try:
                served = await self._api.get(f"/apis/{API_VERSION}")
                if any(entry.get("name") == PLURAL for entry in served.get("resources", [])):
                    return True
                problem = f"{API_VERSION} has no {PLURAL}"
            except ApiError as error:
                problem = str(error)
            log.warning("LLMServices are not served yet; install the CRD", error=problem)
            await asyncio.wait({stopped}, timeout=CRD_RETRY_SECONDS)
        return False

    def _live(self) -> str | None:
        if self._watching and not self._shell.alive:
            return "the watch hangs"
        return self.registry.trouble()

    def _ready(self) -> str | None:
        return None if self._watching else "LLMServices are not served yet; is the CRD installed?"


def _lease_settings(settings: OperatorSettings) -> LeaseSettings:
    """Renewal several times within the deadline, and the deadline well before others may take over."""
    return LeaseSettings(
        namespace=settings.lease_namespace,
        name=settings.lease_name,
        identity=settings.identity,
        duration_seconds=settings.lease_seconds,
        renew_deadline_seconds=settings.lease_seconds * 2 / 3,
        retry_seconds=settings.lease_seconds * 2 / 15,
    )


async def serve(
    settings: OperatorSettings, forecaster: Callable[[Forecast], Forecaster], weights: Weights
) -> None:
    """Run until SIGTERM or SIGINT.

    Raises StartError when there is no cluster to talk to or the port is taken, RuntimeError when the
    watch dies.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    api = await _connected(settings)
    try:
        await Operator(api, settings, forecaster, weights).run(stop)
    finally:
        await api.close()


async def _connected(settings: OperatorSettings) -> KubeApi:
    from kubernetes.aio.config import ConfigException  # noqa: PLC0415 - a second of import, paid only where it is used

    try:
        return await KubeApi.connect(settings.api_timeout_seconds)
    except ConfigException as error:
        raise StartError(
            f"no cluster to talk to: there is no service account here, and the kubeconfig says {error};"
            " set KUBECONFIG"
        ) from error
