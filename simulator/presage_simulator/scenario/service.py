"""What a service is made of in a scenario: its engines, its pods, what it promises."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from presage_simulator.scenario.part import Part

Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]


class ObjectivesSpec(Part):
    """What counts as good service, as in the API."""

    ttft_milliseconds: Positive = 1000.0
    """Longest time to first token."""

    tpot_milliseconds: Positive = 50.0
    """Longest mean time per output token after the first."""

    percentile: Annotated[float, Field(gt=0, lt=100)] = 99.0
    """How many percent of requests must meet both."""


class ColdStartSpec(Part):
    """Time from a pod's creation to its readiness: lognormal, drawn per pod by seed."""

    p50_seconds: Positive = 100.0
    """Half of the pods are ready by then."""

    p90_seconds: Positive = 120.0
    """Nine in ten are. Equal to `p50Seconds`: every pod takes exactly so long."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p90_seconds < self.p50_seconds:
            raise ValueError(
                f"p90Seconds is {self.p90_seconds:g} and p50Seconds {self.p50_seconds:g}: give at least that"
            )
        return self


class PoolSpec(Part):
    """The pods of one service."""

    min: Annotated[int, Field(ge=0)] = 1
    """Fewest replicas."""

    max: Annotated[int, Field(ge=1, le=16384)]
    """Most replicas."""

    initial: Annotated[int, Field(ge=1)] | None = None
    """Replicas that are ready at the start. Left out: `min`, but at least 1."""

    cold_start: ColdStartSpec = ColdStartSpec()
    """From creation to ready."""

    @property
    def first(self) -> int:
        """Replicas at the start."""
        return max(1, self.min) if self.initial is None else self.initial

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not self.min <= self.first <= self.max:
            raise ValueError(
                f"min is {self.min}, initial {self.first}, max {self.max}: give min <= initial <= max"
            )
        return self


class ClassSpec(Part):
    """One class of requests with a promise of its own."""

    name: Name
    """What it is called in the results."""

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the requests that belong to it, drawn by seed; shares add up to 1."""

    objectives: ObjectivesSpec | None = None
    """What it promises. Left out: the service's objectives."""

    deadline_seconds: Positive | None = None
    """Longest time from arrival to the last token, for deadline classes."""


class ServiceDefaults(Part):
    """What services have in common; each workload may say otherwise for its own service."""

    profile: str | None = None
    """Engine profile: a shipped name, or a path relative to the scenario file."""

    pool: PoolSpec | None = None
    """Its pods."""

    objectives: ObjectivesSpec | None = None
    """What it promises. Left out everywhere: the API's defaults."""

    classes: Annotated[tuple[ClassSpec, ...], Field(min_length=1)] | None = None
    """Classes of requests. Left out: one class with the service's objectives."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        shares = sum(each.share for each in self.classes or ())
        if self.classes and abs(shares - 1) > 1e-9:  # noqa: PLR2004 - what floats lose in a sum
            raise ValueError(f"the shares of classes add up to {shares:g}: make them 1")
        return self
