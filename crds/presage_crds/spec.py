"""What a user asks for: one model, its objectives, its pools, and how they are scaled and routed."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from presage_crds.base import Part, Rule, list_by
from presage_crds.metrics import Metrics
from presage_crds.pools import MAX_REPLICAS, Pool
from presage_crds.routing import Routing
from presage_crds.scaling import Scaling

_IMMUTABLE = Rule(
    cel="self == oldSelf",
    message="model is immutable; make a new LLMService for another model",
    field="",
    holds=None,  # only the API server knows the former value
)


def _none_where_zero(replicas: int | None) -> int | None:
    """Return None for zero: `/scale` can only be read where the field has a number."""
    return replicas or None


class Objectives(Part):
    """Latency that the service must keep."""

    ttft_milliseconds: Annotated[int, Field(ge=1, le=600_000)] = 1000
    """Time to the first token, from arrival at a sidecar."""

    tpot_milliseconds: Annotated[int, Field(ge=1, le=60_000)] = 50
    """Mean time per token after the first."""

    percentile: Annotated[int, Field(ge=50, le=99)] = 99
    """Share of requests, in percent, that must meet both."""


class LLMServiceSpec(Part):
    """Desired state of an LLMService."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.pools.all(a, self.pools.exists_one(b, a.name == b.name))",
            message="pools must have unique names; rename one of them",
            field="pools",
            holds=lambda spec: len({pool.name for pool in spec.pools}) == len(spec.pools),
        ),
        Rule(
            cel="self.pools.size() == 1",
            message="v1alpha1 acts on exactly one pool; make one LLMService for each further pool",
            field="pools",
            holds=lambda spec: len(spec.pools) == 1,
        ),
        Rule(
            cel="!has(self.scaling.fallback) || self.pools.all(p,"
            " p.minReplicas <= self.scaling.fallback.replicas"
            " && self.scaling.fallback.replicas <= p.maxReplicas)",
            message="scaling.fallback.replicas must lie within the pool's minReplicas and maxReplicas;"
            " change it or the pool's bounds",
            field="scaling.fallback.replicas",
            holds=lambda spec: (
                spec.scaling.fallback is None
                or all(
                    pool.min_replicas <= spec.scaling.fallback.replicas <= pool.max_replicas
                    for pool in spec.pools
                )
            ),
        ),
    )

    model: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^\S+$",
            json_schema_extra={"x-kubernetes-validations": [_IMMUTABLE.as_validation()]},
        ),
    ]
    """Model name as clients send it in `model`. It cannot be changed: another model is another
    service."""

    objectives: Objectives = Objectives()
    """Latency that the service must keep."""

    replicas: Annotated[
        Annotated[int, Field(ge=0, le=MAX_REPLICAS)] | None,
        AfterValidator(_none_where_zero),
        Field(json_schema_extra={"default": 0}),
    ] = None
    """Manual override, written by `kubectl scale`: while it is above zero the pool is held at this
    number, within its `minReplicas` and `maxReplicas`, and the forecast only advises. Zero: automatic.
    Like every number it is acted on in mode `Auto` only."""

    pools: Annotated[tuple[Pool, ...], Field(min_length=1, max_length=8, json_schema_extra=list_by("name"))]
    """Pods that serve the model. v1alpha1 acts on exactly one."""

    scaling: Scaling = Scaling()
    """How many pods, and when."""

    routing: Routing = Routing()
    """How requests reach instances."""

    metrics: Metrics
    """Where load is read."""
