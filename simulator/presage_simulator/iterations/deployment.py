"""What is deployed: replicas in groups, each group with a scheduler and the classes that it serves."""

from dataclasses import dataclass
from typing import Literal

from presage_policies.chunking import niyama
from presage_policies.engine import EngineProfile
from presage_policies.engine.stratified import StratifiedTime

from presage_simulator.iterations import engine

Routing = Literal["RoundRobin", "Random", "LeastPrefill"]
OrderName = Literal["FCFS", "EDF", "SRPF", "LeastSlack", "Hybrid"]
ORDERS: dict[OrderName, int] = {
    "FCFS": engine.FIRST_COME,
    "EDF": engine.EARLIEST_DEADLINE,
    "SRPF": engine.SHORTEST_PREFILL,
    "LeastSlack": engine.LEAST_SLACK,
    "Hybrid": engine.HYBRID,
}


@dataclass(frozen=True, slots=True)
class Scheduler:
    """One engine's scheduler.

    `chunk_tokens` are the tokens of an iteration, decodes included; None = dynamic, as Niyama chooses them.
    `relegates`: requests that cannot make their deadline go after all others.
    """

    order: OrderName
    chunk_tokens: int | None
    relegates: bool = False

    def __post_init__(self) -> None:
        if self.chunk_tokens is not None and self.chunk_tokens < 1:
            raise ValueError(f"chunk_tokens is {self.chunk_tokens}: give at least 1, or none for dynamic")

    @property
    def budget(self) -> int:
        """The most tokens of an iteration."""
        return max(niyama.TOKENS_OF_A_BATCH) if self.chunk_tokens is None else self.chunk_tokens


@dataclass(frozen=True, slots=True)
class Group:
    """Replicas that serve the same classes by the same rules."""

    scheduler: Scheduler
    replicas: int
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise ValueError(f"replicas is {self.replicas}: a group has at least 1")


@dataclass(frozen=True, slots=True)
class Deployment:
    """Groups that share out the classes: one group is a shared pool, one a class is a silo.

    `routing`: RoundRobin or Random over a group's replicas, or LeastPrefill, the least queued prompt tokens.
    """

    groups: tuple[Group, ...]
    routing: Routing = "RoundRobin"
    alpha_idle: float = niyama.ALPHA_IDLE
    alpha_loaded: float = niyama.ALPHA_LOADED
    loaded_seconds: float = 3.0

    @property
    def replicas(self) -> int:
        """All replicas."""
        return sum(group.replicas for group in self.groups)


@dataclass(frozen=True, slots=True)
class EngineModel:
    """How fast an engine is, and what it holds."""

    time: StratifiedTime
    kv_capacity_tokens: int
    block_tokens: int = 16
    max_sequences: int = 256

    @classmethod
    def of_profile(cls, profile: EngineProfile) -> "EngineModel":
        """Return a profile's engine."""
        return cls(
            StratifiedTime.of_profile(profile),
            profile.kv_capacity_tokens,
            profile.block_tokens,
            profile.max_sequences,
        )
