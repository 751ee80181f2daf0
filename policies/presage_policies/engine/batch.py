"""The continuous-batching scheduler of an engine as a state machine, in the manner of vLLM's V1.

It decides what runs in the next iteration and how long that takes; who drives it decides whether the
time is real, scaled or virtual. Rules (PagedAttention, arXiv 2309.06180, and vLLM's scheduler): running
sequences first, then waiting ones by (priority, arrival); prefills are chunked within the token budget;
KV is taken in whole blocks; when none is left the sequence admitted last goes back to the queue and
computes everything again.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from presage_policies.engine.timing import BatchShape, EngineProfile, iteration_seconds


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One request as the engine knows it; `output_tokens` is the engine's secret.

    `cached_tokens` of the prompt are a prefix-cache hit: their KV is taken but not computed. Lower
    `priority` runs first.
    """

    request_id: str
    arrival: float
    prompt_tokens: int
    output_tokens: int
    priority: int = 0
    cached_tokens: int = 0

    def __post_init__(self) -> None:
        if self.prompt_tokens < 1 or self.output_tokens < 1:
            raise ValueError(
                f"request {self.request_id!r} has {self.prompt_tokens} prompt and {self.output_tokens} "
                "output tokens: both must be at least 1"
            )
        if not 0 <= self.cached_tokens <= self.prompt_tokens:
            raise ValueError(
                f"request {self.request_id!r} has cached_tokens {self.cached_tokens} of {self.prompt_tokens}"
            )


@dataclass(slots=True, eq=False)
class Sequence:
    """A request inside the engine: what is computed (KV held), what came out, and its blocks."""

    request: EngineRequest
    order: int
    computed: int = 0
    generated: int = 0
    blocks: int = 0
    reusable: int = 0  # prefix-cache hit that still holds at the next admission
    gone: bool = False

    @property
    def rank(self) -> tuple[int, float, int]:
        """Who goes first: priority, then arrival, then order of adding."""
        return (self.request.priority, self.request.arrival, self.order)

    @property
    def target(self) -> int:
        """Tokens to have computed before the next token comes out."""
        return self.request.prompt_tokens + self.generated

    @property
    def decoding(self) -> bool:
        """Whether the next step is a single decode step."""
        return self.generated > 0 and self.computed == self.target - 1


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One sequence's share of an iteration: `tokens` computed after `context` that are already there."""

    sequence: Sequence
    tokens: int
    context: int


@dataclass(frozen=True, slots=True)
class Iteration:
    """What runs now, and for how long (seconds)."""

    began: float
    seconds: float
    shape: BatchShape
    scheduled: tuple[Scheduled, ...]
    preempted: tuple[str, ...] = ()


@dataclass(slots=True)
class StepResult:
    """What an iteration brought: each (request_id, tokens generated so far), and who began or ended."""

    tokens: list[tuple[str, int]] = field(default_factory=list)
    first_tokens: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    preempted: tuple[str, ...] = ()


class Batch:
    """The running and waiting requests of one engine. One iteration is in flight at a time."""

    def __init__(self, profile: EngineProfile) -> None:
        self.profile = profile
        self.preemptions = 0
        self._running: list[Sequence] = []
        self._waiting: list[tuple[tuple[int, float, int], Sequence]] = []
        self._sequences: dict[str, Sequence] = {}
        self._used_blocks = 0
        self._added = 0
        self._in_flight = False

    @property
    def running(self) -> int:
        """Requests that hold KV."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for KV, a sequence slot or budget."""
        return len(self._waiting)

    @property
    def kv_tokens_used(self) -> int:
        """KV taken, in tokens (whole blocks)."""
        return self._used_blocks * self.profile.block_tokens

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache that is taken, 0 to 1."""
        return self._used_blocks / self.profile.kv_blocks

    @property
    def longest_tokens(self) -> int:
        """The most prompt plus output tokens that one request can have here."""
        return self.profile.kv_blocks * self.profile.block_tokens

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._sequences

    def sequences(self) -> Iterator[Sequence]:
        """Yield every request inside, running first (for measurement, not for changing)."""
        yield from self._running
        for _, sequence in self._waiting:
            yield sequence

    def add(self, request: EngineRequest) -> None:
        """Queue a request. Raises ValueError when its id is taken or it could never fit the KV cache."""
        if request.request_id in self._sequences:
            raise ValueError(f"request id {request.request_id!r} is already in the engine: give another")
        whole = request.prompt_tokens + request.output_tokens
        if whole > self.longest_tokens:
            raise ValueError(
                f"request {request.request_id!r} needs {whole} tokens of KV cache and the engine has "
                f"{self.longest_tokens}: shorten the prompt or max_tokens"
            )
        sequence = Sequence(
            request, self._added, reusable=min(request.cached_tokens, request.prompt_tokens - 1)
        )
        self._added += 1
        self._sequences[request.request_id] = sequence
        insort(self._waiting, (sequence.rank, sequence))

    def abort(self, request_id: str) -> bool:
        """Drop a request and free its KV at once; False when it is not here (any more)."""
        sequence = self._sequences.pop(request_id, None)
        if sequence is None:
            return False
        sequence.gone = True
        if sequence in self._running:
            self._running.remove(sequence)
        else:
            self._waiting.remove((sequence.rank, sequence))
        self._release(sequence)
        return True

    def begin(self, now: float) -> Iteration | None:
        """Form the next iteration; None when there is nothing to do. Raises RuntimeError while one runs."""
        if self._in_flight:
            raise RuntimeError("an iteration is in flight: complete it first")
        scheduled: list[Scheduled] = []
        preempted: list[str] = []
        budget = self._schedule_running(scheduled, preempted)
        if not preempted:
            self._admit(budget, scheduled)
        if not scheduled:
            return None
        shape = _shape(scheduled)
        self._in_flight = True
        return Iteration(
            now, iteration_seconds(self.profile, shape), shape, tuple(scheduled), tuple(preempted)
        )

    def complete(self, iteration: Iteration) -> StepResult:
        """Take the results of an iteration that has run; what was aborted meanwhile yields nothing."""
        if not self._in_flight:
            raise RuntimeError("no iteration is in flight: begin one first")
        self._in_flight = False
        result = StepResult(preempted=iteration.preempted)
        for share in iteration.scheduled:
            sequence = share.sequence
            if sequence.gone:
                continue
            sequence.computed += share.tokens
            if sequence.computed == sequence.target:
                self._emit(sequence, result)
        return result

    def _schedule_running(self, scheduled: list[Scheduled], preempted: list[str]) -> int:
        budget = self.profile.token_budget
        for sequence in tuple(self._running):
            if budget <= 0:
                break
            if sequence.blocks == 0:
                continue  # sent back for the sake of one before it
            tokens = min(sequence.target - sequence.computed, budget)
            if self._make_room(sequence, sequence.computed + tokens, scheduled, preempted):
                scheduled.append(Scheduled(sequence, tokens, sequence.computed))
            budget = (
                self.profile.token_budget - sum(share.tokens for share in scheduled)
                if preempted
                else budget - tokens
            )
        return budget

    def _make_room(
        self, sequence: Sequence, tokens: int, scheduled: list[Scheduled], preempted: list[str]
    ) -> bool:
        """Take blocks for a running sequence, sending back the last admitted as often as needed."""
        while not self._take(sequence, tokens):
            victim = self._victim()
            self._preempt(victim)
            preempted.append(victim.request.request_id)
            scheduled[:] = [share for share in scheduled if share.sequence is not victim]
            if victim is sequence:
                return False
        return True

    def _victim(self) -> Sequence:
        """Return the running sequence of the least urgent priority that was admitted last."""
        worst = max(sequence.request.priority for sequence in self._running)
        return next(s for s in reversed(self._running) if s.request.priority == worst)

    def _preempt(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._release(sequence)
        sequence.computed = 0
        self.preemptions += 1
        insort(self._waiting, (sequence.rank, sequence))

    def _admit(self, budget: int, scheduled: list[Scheduled]) -> None:
        while self._waiting and budget > 0 and len(self._running) < self.profile.max_sequences:
            sequence = self._waiting[0][1]
            if not self._take(sequence, sequence.target):  # the whole prompt must fit, as in vLLM
                return
            self._waiting.pop(0)
            self._running.append(sequence)
            sequence.computed = sequence.reusable
            tokens = min(sequence.target - sequence.computed, budget)
            scheduled.append(Scheduled(sequence, tokens, sequence.computed))
            budget -= tokens

    def _take(self, sequence: Sequence, tokens: int) -> bool:
        wanted = self.profile.blocks_for(tokens) - sequence.blocks
        if wanted <= 0:
            return True
        if self._used_blocks + wanted > self.profile.kv_blocks:
            return False
        self._used_blocks += wanted
        sequence.blocks += wanted
        return True

    def _release(self, sequence: Sequence) -> None:
        self._used_blocks -= sequence.blocks
        sequence.blocks = 0

    def _emit(self, sequence: Sequence, result: StepResult) -> None:
        request_id = sequence.request.request_id
        sequence.generated += 1
        if sequence.generated == 1:
            result.first_tokens.append(request_id)
        result.tokens.append((request_id, sequence.generated))
        if sequence.generated == sequence.request.output_tokens:
            result.finished.append(request_id)
            self._running.remove(sequence)
            self._release(sequence)
            del self._sequences[request_id]
            sequence.gone = True


def _shape(scheduled: list[Scheduled]) -> BatchShape:
    tokens = kv = 0
    attention = 0.0
    for share in scheduled:
        tokens += share.tokens
        if share.sequence.decoding:
            kv += share.context
        else:
            attention += share.tokens * (share.context + share.tokens / 2)
    return BatchShape(tokens, len(scheduled), kv, attention)
