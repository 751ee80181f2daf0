"""One request as fronts and guards hand it over."""

from dataclasses import dataclass

from presage_policies.lengths import LengthDistribution

from presage_router.asked import Asked
from presage_router.headers import Headers


@dataclass(frozen=True, slots=True)
class Job:
    """A client's request with what was predicted of it. `arrived`: this sidecar's monotonic clock, seconds.

    `client` is the key of fairness and history, `asked` what the body says, `prefix` the hashes of its
    leading blocks; `body` travels untouched.
    """

    request_id: str
    path: str
    body: bytes
    headers: Headers
    client: str
    asked: Asked
    prompt_tokens: int
    length: LengthDistribution
    prefix: tuple[int, ...]
    arrived: float
