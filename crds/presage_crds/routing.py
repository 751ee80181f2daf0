"""How sidecars share requests; the operator hands this on to them as their configuration."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from presage_crds.base import Part
from presage_crds.pools import DnsLabel


class RoutingPolicy(StrEnum):
    """Who gets a request."""

    LEAST_BID = "LeastBid"
    ROUND_ROBIN = "RoundRobin"
    LEAST_REQUEST = "LeastRequest"
    PREFIX_TOKEN_LOAD = "PrefixTokenLoad"  # noqa: S105  a policy's name, no password


class LengthPredictorName(StrEnum):
    """Who predicts the length of an answer."""

    HISTORY = "History"
    FAST = "Fast"
    AUTO = "Auto"
    PRIOR = "Prior"


class Queue(Part):
    """Requests that wait at the sidecar their client is connected to, while no instance has room."""

    max_requests: Annotated[int, Field(ge=0, le=100_000)] = 256
    """The most requests that wait at one sidecar; one more is answered 429. Zero: nobody waits."""

    max_wait_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """The longest wait; a request that waited longer is answered 429."""


class Timeouts(Part):
    """How long a sidecar waits for what."""

    connect_seconds: Annotated[int, Field(ge=1, le=60)] = 2
    """To connect to another sidecar or the engine."""

    first_byte_seconds: Annotated[int, Field(ge=1, le=3600)] = 120
    """From forwarding a request to the first byte of its answer."""

    idle_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Between two pieces of a streamed answer."""

    drain_seconds: Annotated[int, Field(ge=1, le=7200)] = 300
    """From the start of a drain to its end, finished or not. The pods'
    `terminationGracePeriodSeconds` must be longer."""


class Routing(Part):
    """How requests reach instances."""

    policy: RoutingPolicy = RoutingPolicy.LEAST_BID
    """Who gets a request. `LeastBid`: the instance where its predicted marginal cost is lowest.
    `PrefixTokenLoad`: prefix affinity, else the least token load. `LeastRequest`: the fewest
    requests in flight. `RoundRobin`: each in turn."""

    predictor: LengthPredictorName = LengthPredictorName.HISTORY
    """Who predicts answer lengths. `History`: quantiles of each client's earlier answers. `Fast`: the
    prompt's text, by a small network that learns each model online. `Auto`: both, weighed by how
    well each has predicted lately. `Prior`: nobody; every answer is taken to be as long as answers
    usually are, to compare with."""

    bids: Annotated[int, Field(ge=1, le=16)] = 3
    """How many instances are asked for a bid for each request."""

    queue: Queue = Queue()
    """Waiting requests: how many, how long."""

    timeouts: Timeouts = Timeouts()
    """Time-outs of the request path."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=1_073_741_824)] = 4_194_304
    """The largest request body; a larger one is answered 413."""

    service_name: DnsLabel | None = None
    """Service whose EndpointSlices list the sidecars. Left out: the name of the LLMService."""
