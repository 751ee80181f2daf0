"""The status: built whole each pass, written by server-side apply only when it says something new."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from presage_crds import API_VERSION, GROUP, KIND, PLURAL, VERSION, LLMServiceStatus

if TYPE_CHECKING:
    from presage_operator.kube import KubeApi, Object

FIGURES_EVERY_SECONDS = 5.0  # figures alone (a forecast moving a little) are written this often at most


def status_path(namespace: str, name: str) -> str:
    """Where the status of a service is."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}/status"


def status_object(namespace: str, name: str, status: LLMServiceStatus) -> Object:
    """Return the object that is applied: identity and the whole status, nothing else."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"namespace": namespace, "name": name},
        "status": status.as_object(),
    }


def essence(status: LLMServiceStatus) -> LLMServiceStatus:
    """Return the status without figures that move all the time; a change of the rest is news."""
    plain = datetime.fromtimestamp(0, UTC)
    return status.model_copy(
        update={
            "conditions": tuple(c.model_copy(update={"message": ""}) for c in status.conditions),
            "pools": tuple(
                p.model_copy(update={"message": None, "cold_start_seconds": None}) for p in status.pools
            ),
            "forecast": status.forecast
            and status.forecast.model_copy(
                update={
                    "generated_at": plain,
                    "horizon_seconds": 0,
                    "prompt_tokens_per_second": 0,
                    "generation_tokens_per_second": 0,
                    "tokens_per_second": 0,
                    "error_percent": None,
                    "coverage_percent": None,
                }
            ),
        }
    )


class StatusWriter:
    """Writes the status of one service; remembers what the API has, to write no more than needed."""

    def __init__(self, api: KubeApi, namespace: str, name: str, stored: LLMServiceStatus) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._stored = stored
        self._written_at: float | None = None

    @property
    def stored(self) -> LLMServiceStatus:
        """What the API has, as far as is known."""
        return self._stored

    def saw(self, stored: LLMServiceStatus) -> None:
        """Take note of what the API has now: what somebody else changed is put right by the next pass."""
        self._stored = stored

    def due(self, status: LLMServiceStatus, now: float) -> bool:
        """Whether this status is worth a write at `now`."""
        if status == self._stored:
            return False
        if self._written_at is None or essence(status) != essence(self._stored):
            return True
        return now - self._written_at >= FIGURES_EVERY_SECONDS

    async def write(self, status: LLMServiceStatus, now: float) -> None:
        """Apply the status if it is due. Raises `ApiError`."""
        if not self.due(status, now):
            return
        body = status_object(self._namespace, self._name, status)
        await self._api.apply(status_path(self._namespace, self._name), body)
        self._stored, self._written_at = status, now
