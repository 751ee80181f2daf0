"""The sidecars that clients reach: the EndpointSlices of the service's Service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from presage_operator.kube import KubeApi, Object


@dataclass(frozen=True)
class Endpoints:
    """How many sidecars the Service lists, and how many of them take requests."""

    known: int
    ready: int


async def read_endpoints(api: KubeApi, namespace: str, service: str) -> Endpoints:
    """Count the endpoints of a Service. Raises `ApiError`."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    slices = await api.list(path, labelSelector=f"kubernetes.io/service-name={service}", resourceVersion="0")
    return count(slices)


def count(slices: list[Object]) -> Endpoints:
    """Count distinct addresses; one pod may stand in several slices (IPv4 and IPv6 count as two)."""
    ready: dict[str, bool] = {}
    for part in slices:
        for endpoint in part.get("endpoints") or []:
            # The API says: an endpoint without the condition counts as ready.
            serves = endpoint.get("conditions", {}).get("ready") is not False
            for address in endpoint.get("addresses", [])[:1]:
                ready[address] = ready.get(address, False) or serves
    return Endpoints(known=len(ready), ready=sum(ready.values()))
