"""The whole scenario, and reading it from a file."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from presage_simulator.scenario.part import Part, ScenarioError, problems, read_yaml, system_of
from presage_simulator.scenario.points import Point, points_of
from presage_simulator.scenario.service import Name, ObjectivesSpec, PoolSpec, Positive, ServiceDefaults
from presage_simulator.scenario.system import Grid, SystemSpec
from presage_simulator.scenario.workload import WorkloadSpec

P = TypeVar("P", bound=Part)


class Scenario(ServiceDefaults):
    """One experiment: loads, engines, and the systems that are compared on them."""

    name: Name
    """What it is called."""

    description: str = ""
    """What it asks, in a sentence or two; the report begins with it."""

    workloads: Annotated[tuple[WorkloadSpec, ...], Field(min_length=1)]
    """The services, each with its requests and a pool of its own."""

    window_seconds: Positive = 600.0
    """Step of forecasts: load is averaged over windows of this length."""

    systems: Annotated[tuple[SystemSpec, ...], Field(min_length=1)]
    """What is compared."""

    baseline: str | None = None
    """The system that paired differences are taken against. Left out: no differences."""

    foresight: str = "foresight"
    """The system whose replicas say what was needed; wasted and missing replica-seconds count against it."""

    seeds: Annotated[int, Field(ge=1)] = 1
    """Repetitions: seeds 0, 1, … of arrivals, lengths, classes, cold starts and ties."""

    grid_seeds: Annotated[int, Field(ge=1)] = 1
    """Repetitions of points of a grid."""

    sweep: Grid | None = None
    """Settings of fields of the scenario (`workloads.NAME.rateFactor`), each of which all systems meet:
    dotted fields with lists of values (every combination), or a list of points."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field, names in (
            ("workloads", [each.name for each in self.workloads]),
            ("systems", [each.name for each in self.systems]),
        ):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise ValueError(f"{field}: {twice[0]!r} is there twice; give each a name of its own")
        if self.baseline is not None:
            self.system(self.baseline)
        for workload in self.workloads:
            if workload.profile is None and self.profile is None:
                raise ValueError(f"workloads: {workload.name} has no profile; give one here or for all")
            if workload.pool is None and self.pool is None:
                raise ValueError(f"workloads: {workload.name} has no pool; give one here or for all")
        return self

    def system(self, name: str) -> SystemSpec:
        """Return the system of that name. Raises ScenarioError that lists those there are."""
        return system_of(self.systems, name)

    def pool_of(self, workload: WorkloadSpec) -> PoolSpec:
        """Return the pods of a service."""
        pool = workload.pool or self.pool
        assert pool is not None
        return pool

    def profile_of(self, workload: WorkloadSpec) -> str:
        """Return the engine profile of a service, by name or path."""
        profile = workload.profile or self.profile
        assert profile is not None
        return profile

    def objectives_of(self, workload: WorkloadSpec) -> ObjectivesSpec:
        """Return what a service promises."""
        return workload.objectives or self.objectives or ObjectivesSpec()

    def swept(self) -> tuple[tuple[Point, Self], ...]:
        """Return every point of the sweep with the scenario it makes; without a sweep, itself."""
        points = points_of(self.sweep)
        if not points:
            return ((Point({}), self),)
        document = {key: value for key, value in self.as_object().items() if key != "sweep"}
        made = (_validated(type(self), point.applied(document, "sweep"), "sweep") for point in points)
        return tuple(zip(points, made, strict=True))

    def variants(self, system: SystemSpec) -> tuple[tuple[Point, SystemSpec], ...]:
        """Return the points of a system's grid, each with the system it makes."""
        document = {key: value for key, value in system.as_object().items() if key != "grid"}
        where = f"systems.{system.name}.grid"
        return tuple(
            (point, _validated(SystemSpec, point.applied(document, where), where))
            for point in points_of(system.grid)
        )


def parse_scenario(document: Any, where: str = "the scenario") -> Scenario:
    """Check a parsed document. Raises ScenarioError naming each field at fault, its value, the fix."""
    if not isinstance(document, Mapping):
        raise ScenarioError(f"{where} is {type(document).__name__}: give a mapping of fields")
    scenario = _validated(Scenario, dict(document), where)
    for _, point in scenario.swept():
        for system in point.systems:
            point.variants(system)  # a grid that leads nowhere is told before anything runs
    return scenario


def load_scenario(path: Path) -> Scenario:
    """Read SCENARIO.yaml. Raises ScenarioError that names the file and what is wrong in it."""
    return parse_scenario(read_yaml(path), str(path))


def _validated(model: type[P], document: dict[str, Any], where: str = "") -> P:
    """Read a document as its JSON form, in which a list is a tuple and 1 is a number of seconds."""
    try:
        return model.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        raise ScenarioError(f"{where}: {problems(error)}" if where else problems(error)) from error
