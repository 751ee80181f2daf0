"""Looks after one LLMService: observe, think, act, at every interval and whenever its spec changes.

Level-triggered: every pass computes everything from what is there now. A pass that fails leaves all
as it is, and the next one begins anew.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from presage_crds import InvalidObjectError, LLMService, LLMServiceStatus, ScalingMode

from presage_operator import act, report
from presage_operator.brain import Brain, Foretold, horizon_seconds, uses_weights, wants_forecast
from presage_operator.findings import findings
from presage_operator.foresight import Foresight
from presage_operator.kube import ApiError
from presage_operator.observe import Trouble, observe
from presage_operator.pods import ColdStarts
from presage_operator.profiles import UnknownProfileError, profile_of
from presage_operator.series import History
from presage_operator.status import StatusWriter
from presage_operator.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from presage_crds import Forecast
    from presage_policies.engine import EngineProfile
    from presage_policies.forecasting import Forecaster

    from presage_operator.brain import Verdict
    from presage_operator.events import Event
    from presage_operator.kube import KubeApi, Object
    from presage_operator.metrics import Metrics
    from presage_operator.observe import World
    from presage_operator.prometheus import PrometheusServers
    from presage_operator.targets import Targets
    from presage_operator.weights import WeightsWatch

log = structlog.get_logger(__name__)

SHORTEST_PAUSE_SECONDS = 0.2
INVALID_PAUSE_SECONDS = 30.0
RETRY_SECONDS = 10.0  # after a pass that failed, however long the interval is
RECOMMENDATION_INTERVALS = 3  # a number older than this many intervals (and a minute) is withdrawn


@dataclass(frozen=True)
class Tools:
    """What every keeper of a process shares; `may_act` is the lease's word, asked before each write."""

    api: KubeApi
    targets: Targets
    metrics: Metrics
    forecaster: Callable[[Forecast], Forecaster]
    weights: WeightsWatch
    may_act: Callable[[], bool]
    rival: Callable[[Object], Trouble | None]
    prometheus: PrometheusServers
    thinking: Executor
    passes: asyncio.Semaphore
    identity: str


class Keeper:
    """The loop of one service."""

    def __init__(self, raw: Object, tools: Tools) -> None:
        self._raw = raw
        self._tools = tools
        self._namespace = str(raw["metadata"]["namespace"])
        self._name = str(raw["metadata"]["name"])
        self._log = log.bind(namespace=self._namespace, service=self._name)
        self._wake = asyncio.Event()
        self._status = StatusWriter(tools.api, self._namespace, self._name, _stored_status(raw))
        self._config = act.RouterConfig(tools.api)
        self._foresight = Foresight(tools.forecaster, tools.thinking)
        self._brain = Brain()
        self._cold_starts = ColdStarts()
        self._history = History(1, 1)
        self._address = ""
        self._recommended: tuple[float, int] | None = None  # (monotonic, replicas)
        self._shown_pool: str | None = None
        self.interval_seconds = INVALID_PAUSE_SECONDS
        self.alive_at = time.monotonic()

    def update(self, raw: Object) -> None:
        """Take in the object as it is now; a change of its spec starts a pass at once."""
        changed = raw["metadata"].get("generation") != self._raw["metadata"].get("generation")
        self._raw = raw
        self._status.saw(_stored_status(raw))
        if changed:
            self._wake.set()

    def recommendation(self) -> dict[str, Any] | None:
        """Return the number for other autoscalers; None once it is too old to stand behind."""
        if self._recommended is None:
            return None
        at, replicas = self._recommended
        patience = max(60.0, RECOMMENDATION_INTERVALS * self.interval_seconds)
        return {"desiredReplicas": replicas} if time.monotonic() - at < patience else None

    async def run(self) -> None:
        """Pass after pass, until cancelled."""
        try:
            while True:
                began = time.monotonic()
                self._wake.clear()
                async with self._tools.passes:
                    done = await self._guarded_pass()
                self.alive_at = time.monotonic()
                due = self.interval_seconds if done else min(self.interval_seconds, RETRY_SECONDS)
                await self._rest(max(SHORTEST_PAUSE_SECONDS, due - (self.alive_at - began)))
        finally:
            self._tools.metrics.forget(self._namespace, self._name)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

    async def _guarded_pass(self) -> bool:
        """One pass that never ends the loop; False when it failed."""
        try:
            await self._pass()
        except ApiError as error:
            self._log.warning("pass given up", status=error.status, error=str(error))
            self._count_failure()
            if not error.unreachable:
                await self._tell(Trouble("ApiServerRefused", str(error)))
        except Exception:  # noqa: BLE001 - whatever a pass met, the next one is due
            self._log.exception("pass failed")
            self._count_failure()
        else:
            return True
        return False

    async def _tell(self, trouble: Trouble) -> None:
        """Leave replicas as they are, and let the status say what to mend, as well as that goes."""
        generation = int(self._raw["metadata"].get("generation") or 0)
        now = time.time()
        if not self._tools.may_act():
            return
        try:
            await self._status.write(
                report.troubled_status(generation, self._status.stored, trouble, now), now
            )
        except ApiError as error:
            self._log.warning("status not written", status=error.status, error=str(error))

    def _count_failure(self) -> None:
        if self._shown_pool is not None:
            self._tools.metrics.failures.labels(self._namespace, self._name, self._shown_pool).inc()

    async def _pass(self) -> None:
        began, now = time.monotonic(), time.time()
        try:
            service, profile = self._read()
        except (InvalidObjectError, UnknownProfileError) as error:
            self.interval_seconds = INVALID_PAUSE_SECONDS
            await self._tell(Trouble("InvalidSpec", str(error)))
            return
        self._equip(service)
        prometheus = self._tools.prometheus.at(self._address)
        world = await observe(
            service, self._tools.api, self._tools.targets, prometheus, self._history, now=now
        )
        rival = self._tools.rival(self._raw)
        if rival is not None:
            world = replace(world, target=rival, pods=())
        self._cold_starts.look(world.pods)
        verdict = await self._think(service, profile, world)
        await self._act(service, world, verdict)
        where = (self._namespace, self._name, service.spec.pools[0].name)
        self._tools.metrics.pass_seconds.labels(*where).observe(time.monotonic() - began)

    def _read(self) -> tuple[LLMService, EngineProfile]:
        """Return the object as it is now. Raises InvalidObjectError or UnknownProfileError."""
        # Our own status is not input: a field that a later version wrote must not stop this one.
        service = LLMService.from_object({k: v for k, v in self._raw.items() if k != "status"})
        return service, profile_of(service)

    def _equip(self, service: LLMService) -> None:
        """Make what depends on the spec fit the spec."""
        spec = service.spec
        self.interval_seconds = float(spec.scaling.interval_seconds)
        address = spec.metrics.prometheus.address
        if address != self._address:
            self._address = address
            self._history = History(1, 1)  # what another server said counts no more
        window = spec.scaling.forecast.window_seconds
        history = spec.scaling.forecast.windows * window
        if (self._history.window_seconds, self._history.history_seconds) != (window, history):
            self._history = History(window, history)
        pool = spec.pools[0].name
        if pool != self._shown_pool:
            if self._shown_pool is not None:
                self._tools.metrics.forget(self._namespace, self._name)
            earlier = self._status.stored.pool(pool)
            remembered = earlier.cold_start_seconds if earlier else None
            self._cold_starts = ColdStarts(None if remembered is None else float(remembered))
            self._shown_pool = pool

    async def _think(self, service: LLMService, profile: EngineProfile, world: World) -> Verdict:
        cold = self._cold_starts.seconds
        forecast = None
        if wants_forecast(service):
            horizon = horizon_seconds(service, Foretold(None, cold))
            forecast = await self._foresight.look(
                service.spec.scaling.forecast, world.load.series, horizon, world.now
            )
        trouble = self._tools.weights.look() if uses_weights(service) else None
        foretold = Foretold(forecast, cold, self._foresight.accuracy, trouble)
        return self._brain.think(service, profile, world, foretold)

    async def _act(self, service: LLMService, world: World, verdict: Verdict) -> None:
        if not self._tools.may_act():
            return  # the lease went meanwhile; whoever has it acts
        told: list[Event] = []
        trouble, scaled_at = await self._scale(service, world, verdict, told)
        router = await self._config.keep(service, world.now)
        before = self._status.stored
        found = findings(service, world, verdict, trouble, router)
        status = report.status_of(service, world, verdict, found, before, scaled_at=scaled_at)
        told.extend(report.condition_events(before, status))
        report.show(self._tools.metrics, service, world, verdict)
        if verdict.decision is not None:
            self._recommended = (time.monotonic(), verdict.decision.replicas)
        if self._tools.may_act():
            await self._status.write(status, world.now)
            await act.tell(self._tools.api, service, told, self._tools.identity, world.now)

    async def _scale(
        self, service: LLMService, world: World, verdict: Verdict, told: list[Event]
    ) -> tuple[Trouble | None, float | None]:
        """Write `/scale` if the mode says so and it differs: (what went wrong, when it was written)."""
        target, decision = world.target, verdict.decision
        if not isinstance(target, Target) or decision is None or decision.replicas == target.replicas:
            return None, None
        if service.spec.scaling.mode is not ScalingMode.AUTO:
            return None, None
        trouble = await act.scale(self._tools.targets, target, decision.replicas)
        if trouble is not None:
            return trouble, None
        self._log.info(
            "scaled", before=target.replicas, after=decision.replicas, code=decision.code, why=decision.reason
        )
        told.append(report.scale_event(target.replicas, decision.replicas, decision.reason))
        return None, world.now


def _stored_status(raw: Object) -> LLMServiceStatus:
    """Return the status as the API has it; one that cannot be read counts as none."""
    try:
        return LLMServiceStatus.model_validate_json(json.dumps(raw.get("status") or {}))
    except ValueError:
        return LLMServiceStatus()
