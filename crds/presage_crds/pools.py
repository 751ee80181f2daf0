"""Which pods serve a model: pools that the operator scales through their `/scale` subresource."""

from typing import Annotated, ClassVar

from pydantic import Field

from presage_crds.base import Part, Rule

MAX_REPLICAS = 10_000
"""Upper bound of every replica count in the API."""

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


class ScaleTargetRef(Part):
    """An object with a `/scale` subresource, in the namespace of the LLMService."""

    api_version: Annotated[
        str, Field(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9][a-z0-9]*$")
    ] = "apps/v1"
    """API group and version of the target, as in `apps/v1`."""

    kind: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Z][A-Za-z0-9]*$")] = "Deployment"
    """Kind of the target: `Deployment`, `StatefulSet`, or any kind that has a `/scale` subresource."""

    name: ObjectName
    """Name of the target."""


class Pool(Part):
    """Pods of one kind, on one kind of GPU, that are scaled together."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="minReplicas must not exceed maxReplicas; lower minReplicas or raise maxReplicas",
            field="minReplicas",
            holds=lambda pool: pool.min_replicas <= pool.max_replicas,
        ),
    )

    name: DnsLabel
    """Name of the pool, unique within the service; shown in the status and as a metric label."""

    scale_target_ref: ScaleTargetRef
    """What to scale. Nothing else may write its replicas: no HorizontalPodAutoscaler on the same
    target unless `scaling.mode` is `External` or `Recommend`."""

    min_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 1
    """The fewest replicas. Zero is not offered yet: nothing would hold requests while no pod runs."""

    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """The most replicas, whatever the forecast says. Required, since it bounds the bill."""

    engine_profile: Annotated[
        str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    ] = "rtx4090-llama-3.1-8b"
    """Name of a shipped engine profile: how fast one instance is and how many tokens its KV cache
    holds. It seeds the capacity estimate and the bids; measured load corrects the capacity, and the
    engine's own report the KV size. The default is the smallest shipped profile, which errs towards
    more pods."""
