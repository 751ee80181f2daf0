"""Does what was decided: `/scale`, the sidecars' ConfigMap, Events. Nothing is decided here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from presage_operator import events
from presage_operator.kube import ApiError, KubeApi, Object
from presage_operator.observe import Trouble
from presage_operator.router_config import config_map, config_map_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from presage_crds import LLMService

    from presage_operator.targets import Target, Targets

log = structlog.get_logger(__name__)

CONFIG_EVERY_SECONDS = 60.0


async def scale(targets: Targets, target: Target, replicas: int) -> Trouble | None:
    """Ask for `replicas`; None when done, else why not. Raises `ApiError` when no answer came."""
    try:
        written = await targets.write(target, replicas)
    except ApiError as error:
        if error.unreachable:
            raise
        return Trouble("ScaleRefused", f"the API server refused {replicas} replicas: {error}")
    if not written:
        return Trouble(
            "ScaledByAnother", f"somebody changed {target.path} meanwhile; their number counts from now on"
        )
    return None


class RouterConfig:
    """Keeps the ConfigMap of one service as it should be."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._applied: Object | None = None
        self._at = 0.0

    async def keep(self, service: LLMService, now: float) -> Trouble | None:
        """Apply the ConfigMap when it changed, and now and then in case somebody else changed it.

        None when it is as it should be, else why not. Raises `ApiError` when no answer came.
        """
        wanted = config_map(service)
        if wanted == self._applied and now - self._at < CONFIG_EVERY_SECONDS:
            return None
        path = config_map_path(service.metadata.namespace, service.metadata.name)
        try:
            await self._api.apply(path, wanted)
        except ApiError as error:
            if error.unreachable:
                raise
            return Trouble("ConfigNotWritten", f"the sidecars' ConfigMap was not written: {error}")
        self._applied, self._at = wanted, now
        return None


async def tell(
    api: KubeApi, service: LLMService, told: Sequence[events.Event], identity: str, now: float
) -> None:
    """Post Events; a lost one is logged and no reason to stop."""
    for event in told:
        try:
            await events.post(api, service, event, identity, now)
        except ApiError as error:
            log.warning("event not posted", reason=event.reason, error=str(error))
