"""A fixed number of replicas: what every autoscaler has to be cheaper than, at no worse a service."""

from dataclasses import dataclass

from presage_policies.scaling.policy import Observation, Sizing


@dataclass(frozen=True, slots=True)
class StaticParameters:
    """The number."""

    replicas: int = 1

    def __post_init__(self) -> None:
        if self.replicas < 0:
            raise ValueError(f"replicas is {self.replicas}: give zero or more")


@dataclass(frozen=True, slots=True)
class StaticState:
    """Nothing is remembered."""


class Static:
    """Asks for the same number of replicas always."""

    name = "Static"

    def __init__(self, parameters: StaticParameters | None = None) -> None:
        self.parameters = parameters or StaticParameters()

    def initial(self) -> StaticState:
        """Return the (empty) state."""
        return StaticState()

    def size(self, state: StaticState, observation: Observation) -> tuple[StaticState, Sizing]:
        """Return the state and the fixed number."""
        del observation
        replicas = self.parameters.replicas
        return state, Sizing(replicas, f"fixed at {replicas}", "Fixed", unguarded=True)
