"""SCENARIO.yaml of kind Iterations: schedulers of prompts compared on shared pools and silos."""

from typing import Annotated, Literal, Self

from presage_policies.chunking import niyama
from pydantic import Field, model_validator

from presage_simulator.iterations.deployment import OrderName, Routing
from presage_simulator.scenario import ClassSpec
from presage_simulator.scenario.part import Part, exactly_one, system_of
from presage_simulator.scenario.service import Name, Positive

Replicas = Annotated[int, Field(ge=1, le=1024)]
Tokens = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class EngineSpec(Part):
    """The engines, all alike: a shipped profile, or a published time model with limits of one's own."""

    profile: str | None = None
    """Engine profile: a shipped name; its limits are taken with it."""

    time_model: Literal["NiyamaLlama3-8B-A100"] | None = None
    """The batch-time model that Niyama's authors fitted on an A100 (two linear pieces)."""

    kv_capacity_tokens: Tokens | None = None
    """KV cache, with `timeModel`."""

    block_tokens: Tokens = 16
    """Tokens of a KV block, with `timeModel`."""

    max_sequences: Tokens = 256
    """Most requests that hold KV at a time, with `timeModel`."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = exactly_one({"profile": self.profile, "timeModel": self.time_model})
        if given == "timeModel" and self.kv_capacity_tokens is None:
            raise ValueError("kvCapacityTokens: required with timeModel; add it")
        return self


class LoadSpec(Part):
    """Requests with the lengths of a trace."""

    lengths: Annotated[str, Field(min_length=1)]
    """A table with `prompt_tokens` and `output_tokens`, drawn by seed, and `t` for recorded arrivals."""

    prompt_factor: Positive = 1.0
    """Prompts are that much longer than in the trace."""

    arrivals: Literal["Poisson", "Recorded"] = "Poisson"
    """`Recorded`: the trace once through, its times squeezed to the rate, its lengths where they stood."""

    requests_per_second: Positive
    """Rate of arrivals, all classes together."""

    requests: Annotated[int, Field(ge=1)] | None = None
    """How many, with Poisson arrivals."""

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if (self.requests is None) == (self.arrivals == "Poisson"):
            raise ValueError("requests: give a number with Poisson arrivals, and none with Recorded ones")
        return self


class SchedulerSpec(Part):
    """An engine's scheduler."""

    order: OrderName
    """Whose prompt goes first."""

    chunk_tokens: Tokens | None = None
    """Tokens of an iteration, decodes included. Left out: dynamic, the largest that the decodes stand."""

    relegates: bool = False
    """Whether requests that cannot make their deadline go after all others."""


class SiloSpec(Part):
    """The part of a silo that serves one class."""

    klass: Annotated[str, Field(alias="class")]
    """Name of the class."""

    scheduler: SchedulerSpec
    """Its engines' scheduler."""

    replicas: Replicas | None = None
    """How many replicas it has, for all silos of a system or for none; together the scenario's."""


class SystemSpec(Part):
    """A way to serve all classes: with one shared pool, or with a silo for each."""

    name: Name
    """What it is called in the results."""

    scheduler: SchedulerSpec | None = None
    """The scheduler of a shared pool."""

    silos: Annotated[tuple[SiloSpec, ...], Field(min_length=1)] | None = None
    """One silo a class. Replicas that they do not name are shared out with the fewest violations, chosen in
    hindsight."""

    routing: Routing = "RoundRobin"
    """Which replica a request goes to; `LeastPrefill`: the one with the fewest queued prompt tokens."""

    replicas: tuple[Replicas, ...] = ()
    """Numbers of replicas to try beside the scenario's own."""

    alpha_idle: Annotated[float, Field(ge=0)] = niyama.ALPHA_IDLE
    """Seconds a token that the Hybrid order adds while there is little queued prefill."""

    alpha_loaded: Annotated[float, Field(ge=0)] = niyama.ALPHA_LOADED
    """The same while there is much."""

    loaded_seconds: Annotated[float, Field(ge=0)] = 3.0
    """How much is much."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one({"scheduler": self.scheduler, "silos": self.silos})
        return self


class GoodputSpec(Part):
    """The highest rate that one replica of a shared pool serves well, by bisection."""

    violations: Share = 0.01
    """The largest share of any class's requests that may miss."""

    requests: Annotated[int, Field(ge=1)]
    """How many requests each trial has."""

    at_most: Positive
    """A rate (requests/s) that no system stands."""

    within: Positive = 0.02
    """How closely the rate is found (requests/s)."""


class VariantSpec(Part):
    """The same systems under another load or on other engines, at the scenario's own replicas."""

    name: Name
    """What it is called in the results."""

    load: LoadSpec | None = None
    """Instead of the scenario's."""

    engine: EngineSpec | None = None
    """Instead of the scenario's."""

    systems: tuple[str, ...] = ()
    """Only these. Left out: all."""

    goodput: bool = True
    """Whether goodput is found, too."""


class IterationsScenario(Part):
    """One experiment: engines, a load, classes, and the systems that are compared on them."""

    kind: Literal["Iterations"]
    """What sets this kind of scenario apart."""

    name: Name
    """What it is called."""

    description: str = ""
    """What it asks."""

    engine: EngineSpec
    """The engines."""

    load: LoadSpec
    """The requests."""

    classes: Annotated[tuple[ClassSpec, ...], Field(min_length=1)]
    """Classes: interactive ones by objectives, batch ones by `deadlineSeconds` and a pace (TPOT)."""

    replicas: Replicas
    """How many replicas the systems' figures are for."""

    systems: Annotated[tuple[SystemSpec, ...], Field(min_length=1)]
    """What is compared."""

    goodput: GoodputSpec | None = None
    """Left out: goodput is not looked for."""

    baseline: str | None = None
    """The system that paired differences are taken against."""

    variants: tuple[VariantSpec, ...] = ()
    """Other loads and engines."""

    seeds: Annotated[int, Field(ge=1)] = 1
    """Repetitions: seeds 0, 1, … of arrivals, lengths and classes."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        classes = sorted(each.name for each in self.classes)
        for index, each in enumerate(self.classes):
            if each.objectives is None:
                raise ValueError(f"classes[{index}].objectives: required here; add them")
        for system in self.systems:
            served = sorted(silo.klass for silo in system.silos or ())
            if system.silos is not None and served != classes:
                raise ValueError(f"systems.{system.name}.silos serve {served}: give each of {classes} one")
            named = [silo.replicas for silo in system.silos or () if silo.replicas is not None]
            if named and (len(named) < len(classes) or sum(named) != self.replicas or system.replicas):
                raise ValueError(
                    f"systems.{system.name}.silos have replicas {named}: give each silo some, "
                    f"{self.replicas} together, and the system no other numbers"
                )
        for name in (self.baseline, *(name for variant in self.variants for name in variant.systems)):
            if name is not None:
                self.system(name)
        return self

    def system(self, name: str) -> SystemSpec:
        """Return the system of that name. Raises ScenarioError that lists those there are."""
        return system_of(self.systems, name)

    def varied(self, variant: VariantSpec | None) -> "IterationsScenario":
        """Return the scenario as a variant has it; itself for None."""
        if variant is None:
            return self
        return self.model_copy(
            update={
                "load": variant.load or self.load,
                "engine": variant.engine or self.engine,
                "goodput": self.goodput if variant.goodput else None,
            }
        )
