"""Scenarios with a `kind` of their own: experiments that are no comparison of scaled services."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from presage_simulator.iterations.experiment import IterationsExperiment
from presage_simulator.iterations.scenario import IterationsScenario
from presage_simulator.queueing_theory.experiment import SingleServerExperiment, SingleServerScenario
from presage_simulator.scenario import ScenarioError
from presage_simulator.scenario.part import problems, read_yaml


class KindExperiment(Protocol):
    """What all of them offer; tasks and what they bring are handed through as they are."""

    @property
    def scenario(self) -> IterationsScenario | SingleServerScenario:
        """What was asked."""
        ...

    def tasks(self, systems: Sequence[str] | None = None) -> tuple[Any, ...]:
        """Return every task, of some systems or of all."""
        ...

    def run(self, tasks: Sequence[Any], jobs: int = 1) -> Iterator[Any]:
        """Run them."""
        ...

    def document(self, runs: Sequence[Any]) -> dict[str, Any]:
        """Return the result."""
        ...


def experiment_of_kind(path: Path, seeds: int | None = None) -> KindExperiment | None:
    """Read a scenario that names its kind; None for one that does not, or is no mapping.

    `seeds` goes before the scenario's own. Raises ScenarioError that names the field at fault.
    """
    document = read_yaml(path)
    if not isinstance(document, Mapping) or "kind" not in document:
        return None
    asked = dict(document) if seeds is None else dict(document) | {"seeds": seeds}
    text = json.dumps(asked, default=str)
    try:
        if asked["kind"] == "Iterations":
            return IterationsExperiment(IterationsScenario.model_validate_json(text), path.parent)
        if asked["kind"] == "SingleServer":
            return SingleServerExperiment(SingleServerScenario.model_validate_json(text))
    except ValidationError as error:
        raise ScenarioError(f"{path}: {problems(error)}") from error
    raise ScenarioError(f"{path}: kind is {asked['kind']!r}: give Iterations, SingleServer, or leave it out")
