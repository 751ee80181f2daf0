"""One simulated pod: its engine's batch, and the guard beside it that bids and keeps the anticipator."""

from dataclasses import dataclass

from presage_policies.anticipator import Anticipator
from presage_policies.engine import Batch, EngineProfile, EngineRequest, Iteration, StepResult
from presage_policies.lengths import LengthDistribution
from presage_policies.routing import Bid, Candidate, InstanceLoad, make_bid
from presage_policies.scaling import InstanceSignal


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a guard remembers of a request in its engine; the true length is not among it."""

    prompt_tokens: int
    length: LengthDistribution


class Instance:
    """A pod from its creation to its end. Times in virtual seconds."""

    def __init__(
        self,
        name: str,
        profile: EngineProfile,
        created_at: float,
        *,
        number: int = 0,
        shows_queue: bool = False,
    ) -> None:
        self.name = name
        self.number = number
        self.created_at = created_at
        self.ready = False
        self.draining = False
        self.iteration: Iteration | None = None
        self.batch = Batch(profile)
        self.anticipator = Anticipator(profile.kv_capacity_tokens)
        self._profile = profile
        self._guarded: dict[str, Guarded] = {}
        self._prefilling: set[str] = set()
        self._prefilling_tokens = 0
        self._token_load = 0.0
        self._kv_tokens = 0
        self._shows_queue = shows_queue  # bids tell of the engine's own queue, as its metrics would
        self._prompt_served = 0
        self._output_served = 0

    @property
    def requests(self) -> int:
        """Unfinished requests here."""
        return len(self._guarded)

    def load(self) -> InstanceLoad:
        """Return what the guard knows of its engine."""
        queued = [s for s in self.batch.sequences() if s.blocks == 0] if self._shows_queue else []
        return InstanceLoad(
            requests=len(self._guarded),
            decoding=len(self._guarded) - len(self._prefilling),
            prefilling_tokens=self._prefilling_tokens,
            kv_tokens=self._kv_tokens,
            token_load=self._token_load,
            kv_capacity_tokens=self.anticipator.kv_capacity_tokens,
            max_sequences=self._profile.max_sequences,
            projected_peak=self.anticipator.peak(),
            waiting=len(queued),
            waiting_kv_tokens=sum(sequence.target for sequence in queued),
            room=self.ready and not self.draining,
        )

    def bid(self, candidate: Candidate) -> Bid:
        """Return what the request would cost here."""
        return make_bid(self._profile, self.load(), self.anticipator, candidate)

    def accept(self, request: EngineRequest, length: LengthDistribution) -> None:
        """Hand a request to the engine. Raises ValueError when it could never fit its KV cache."""
        self.batch.add(request)
        self._guarded[request.request_id] = Guarded(request.prompt_tokens, length)
        self._prefilling.add(request.request_id)
        self._prefilling_tokens += request.prompt_tokens
        self._token_load += request.prompt_tokens + length.mean
        self.anticipator.reserve(request.request_id, request.prompt_tokens, length.mean)

    def begin(self, now: float) -> Iteration | None:
        """Begin the next iteration, if there is work and none runs."""
        if self.iteration is None:
            self.iteration = self.batch.begin(now)
            return self.iteration
        return None

    def complete(self) -> StepResult:
        """End the running iteration and take note of every token."""
        assert self.iteration is not None
        result = self.batch.complete(self.iteration)
        self.iteration = None
        for request_id in result.first_tokens:
            guarded = self._guarded[request_id]
            self._prefilling.discard(request_id)
            self._prefilling_tokens -= guarded.prompt_tokens
            self._prompt_served += guarded.prompt_tokens
            self._kv_tokens += guarded.prompt_tokens
            self.anticipator.start(request_id, guarded.prompt_tokens, guarded.length.mean)
        for request_id, generated in result.tokens:
            self.anticipator.progress(request_id, generated)
        self._output_served += len(result.tokens)
        self._kv_tokens += len(result.tokens)
        totals = dict(result.tokens)
        for request_id in result.finished:
            guarded = self._guarded.pop(request_id)
            self._token_load -= guarded.prompt_tokens + guarded.length.mean
            self._kv_tokens -= guarded.prompt_tokens + totals[request_id]
            self.anticipator.finish(request_id)
        return result

    def signal(self, seconds: float) -> InstanceSignal:
        """Return what is scraped of this pod: rates are means over the `seconds` since the last scrape."""
        prompt, output = self._prompt_served / seconds, self._output_served / seconds
        self._prompt_served = self._output_served = 0
        return InstanceSignal(
            name=self.name,
            ready=self.ready,
            overload=self.anticipator.overload(),
            projected_peak=self.anticipator.peak(),
            kv_usage=self.batch.kv_usage,
            requests=float(self.requests),
            prompt_rate=prompt,
            output_rate=output,
        )
