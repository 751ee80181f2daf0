"""One engine alone with requests whose arrivals and lengths are known: what the time model says of them.

For judging profiles by real runs. Not for decisions: it sees every output length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from presage_policies.engine.batch import Batch, EngineRequest
from presage_policies.engine.timing import EngineProfile


@dataclass(frozen=True, slots=True)
class Served:
    """When a request's first and last token came out, seconds."""

    first_token: float
    last_token: float


def serve_alone(profile: EngineProfile, requests: Sequence[EngineRequest]) -> dict[str, Served]:
    """Serve all requests on one idle engine, in virtual time, and return when each was by its id.

    Raises ValueError when one could never fit the KV cache.
    """
    coming = sorted(requests, key=lambda request: request.arrival, reverse=True)
    batch = Batch(profile)
    now = coming[-1].arrival if coming else 0.0
    first: dict[str, float] = {}
    served: dict[str, Served] = {}
    while len(served) < len(requests):
        while coming and coming[-1].arrival <= now:
            batch.add(coming.pop())
        iteration = batch.begin(now)
        if iteration is None:
            now = coming[-1].arrival
            continue
        now += iteration.seconds
        result = batch.complete(iteration)
        first |= dict.fromkeys(result.first_tokens, now)
        served |= {request: Served(first[request], now) for request in result.finished}
    return served
