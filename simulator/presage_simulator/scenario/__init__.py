"""SCENARIO.yaml: which loads, which engines, which systems to compare; read strictly.

A scenario is a whole experiment in one file, so that a result can name what it was made of and be made
again. Everything in it has a field here; nothing about an experiment is hidden in code.
"""

from presage_simulator.scenario.document import Scenario, load_scenario, parse_scenario
from presage_simulator.scenario.part import ScenarioError
from presage_simulator.scenario.points import Point, points_of
from presage_simulator.scenario.service import (
    ClassSpec,
    ColdStartSpec,
    ObjectivesSpec,
    PoolSpec,
    ServiceDefaults,
)
from presage_simulator.scenario.system import (
    BehaviorSpec,
    ForecastSpec,
    LengthsSourceSpec,
    RoutingSpec,
    ScalingSpec,
    SystemSpec,
)
from presage_simulator.scenario.workload import (
    ConstantLength,
    LengthsSpec,
    LognormalLength,
    ProcessSpec,
    QuantileLength,
    RecordedSpec,
    SeriesSpec,
    Stage,
    TraceSpec,
    WorkloadSpec,
)

__all__ = [
    "BehaviorSpec",
    "ClassSpec",
    "ColdStartSpec",
    "ConstantLength",
    "ForecastSpec",
    "LengthsSourceSpec",
    "LengthsSpec",
    "LognormalLength",
    "ObjectivesSpec",
    "Point",
    "PoolSpec",
    "ProcessSpec",
    "QuantileLength",
    "RecordedSpec",
    "RoutingSpec",
    "ScalingSpec",
    "Scenario",
    "ScenarioError",
    "SeriesSpec",
    "ServiceDefaults",
    "Stage",
    "SystemSpec",
    "TraceSpec",
    "WorkloadSpec",
    "load_scenario",
    "parse_scenario",
    "points_of",
]
