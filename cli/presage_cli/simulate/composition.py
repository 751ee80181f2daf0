"""Builds systems out of policies and predictors: the only place where the simulator meets the predictors."""

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from presage_policies.forecasting import Forecaster
from presage_policies.scaling import (
    KEDA_SLO_BEHAVIOR,
    SCALING_POLICIES,
    SLO_MODEL_BEHAVIOR,
    Behavior,
    DemandTrack,
    Foresight,
    Limits,
    RatePolicy,
    Rules,
    ScalingPolicy,
)
from presage_policies.scaling.behavior import DEFAULT_DOWN, DEFAULT_UP
from presage_predictors.auto.forecaster import Auto
from presage_predictors.controls import HoltWinters, LastValue, SeasonalLevel
from presage_predictors.mlstm.source import Source
from presage_simulator.forecast_track import PerfectForecasts, RollingForecasts, steps_for
from presage_simulator.length_sources import (
    HistoryLengths,
    MeanLengths,
    NoisyOracleLengths,
    OracleLengths,
    PriorLengths,
)
from presage_simulator.runner import Service
from presage_simulator.scenario import (
    BehaviorSpec,
    ForecastSpec,
    LengthsSourceSpec,
    RoutingSpec,
    ScalingSpec,
    ScenarioError,
    SystemSpec,
)
from presage_simulator.scenario.system import RulesSpec
from presage_simulator.sources import Load
from presage_simulator.systems import Binding, ForecastTrack, LengthSource, Routing, Scaler, System
from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

FORECASTERS: dict[str, Callable[[float], Forecaster]] = {
    "SeasonalLevel": SeasonalLevel,
    "HoltWinters": HoltWinters,
    "LastValue": lambda _: LastValue(),
    "Auto": lambda season: Auto(Source().refresh, season),
}
BINDINGS: dict[str, Binding] = {"Late": "late", "Early": "early"}
BEHAVIORS = {"KEDASLO": KEDA_SLO_BEHAVIOR, "SLOModel": SLO_MODEL_BEHAVIOR}  # that a policy states itself
FORESIGHT = "Foresight"  # is told the future, so no registry that a service could name has it


@dataclass
class Composition:
    """Composes systems for services; forecasts of one load are made once and shared by all systems."""

    _tracks: dict[tuple[str, str, float], tuple[Load, ForecastTrack]] = field(default_factory=dict)

    def __call__(self, service: Service, spec: SystemSpec) -> System:
        """Return the system that a specification describes. Raises ScenarioError naming what is wrong."""
        try:
            return System(
                name=spec.name,
                routing=_routing(spec.routing),
                lengths=_lengths(spec.lengths),
                scaler=None if spec.scaling is None else self._scaler(service, spec, spec.scaling),
            )
        except ValueError as error:
            raise ScenarioError(f"systems.{spec.name}: {error}") from error

    def _scaler(self, service: Service, spec: SystemSpec, scaling: ScalingSpec) -> Scaler:
        pool = service.pool
        return Scaler(
            policy=(
                Foresight(_demand(service.load))
                if scaling.policy == FORESIGHT
                else scaling_policy(scaling.policy, scaling.parameters)
            ),
            limits=Limits(
                pool.minimum if scaling.min_replicas is None else scaling.min_replicas,
                pool.maximum if scaling.max_replicas is None else scaling.max_replicas,
                _behavior(scaling.behavior, BEHAVIORS.get(scaling.policy, Behavior())),
            ),
            interval_seconds=scaling.interval_seconds,
            scrape_seconds=scaling.scrape_seconds,
            history=service.load.history,
            forecasts=None if spec.forecast is None else self._track(service, spec.forecast),
        )

    def _track(self, service: Service, spec: ForecastSpec) -> ForecastTrack:
        key = (service.spec.name, spec.model, spec.season_seconds)
        kept = self._tracks.get(key)
        if kept is None or kept[0] is not service.load:
            kept = self._tracks[key] = (service.load, _forecasts(service, spec))
        return kept[1]


def scaling_policy(name: str, parameters: Mapping[str, Any]) -> ScalingPolicy[Any]:
    """Return a scaling policy with its parameters, whose names are in camelCase as all names in YAML are.

    Raises ScenarioError naming the policy or the parameter, its value and the fix.
    """
    if name not in SCALING_POLICIES:
        known = ", ".join([*SCALING_POLICIES, FORESIGHT])
        raise ScenarioError(f"scaling.policy is {name!r}: use one of {known}")
    make: Callable[..., ScalingPolicy[Any]] = SCALING_POLICIES[name]
    wanted = _parameters_of(make)
    names = {to_camel(each.name): each.name for each in fields(wanted)}
    unknown = sorted(set(parameters) - set(names))
    if unknown:
        raise ScenarioError(f"scaling.parameters.{unknown[0]} is unknown: {name} has {', '.join(names)}")
    given = {names[key]: value for key, value in parameters.items()}
    try:
        return make(TypeAdapter(wanted).validate_json(json.dumps(given)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(["scaling.parameters", *(to_camel(str(step)) for step in first["loc"])])
        raise ScenarioError(f"{where} is {first['input']!r}: {first['msg']}") from error


def _parameters_of(make: Callable[..., object]) -> type[Any]:
    """Return the dataclass of a policy's parameters, the type of its only argument."""
    assert inspect.isclass(make)
    hint = typing.get_type_hints(make.__init__)["parameters"]
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next(each for each in options if is_dataclass(each) and isinstance(each, type))


def _forecasts(service: Service, spec: ForecastSpec) -> ForecastTrack:
    window = service.load.history.window_seconds
    steps = steps_for(service.pool.cold_start.p90_seconds + LONGEST_INTERVAL, window)
    if spec.model == "Perfect":
        return PerfectForecasts(service.load, steps)
    return RollingForecasts(FORECASTERS[spec.model](spec.season_seconds), service.load, steps)


LONGEST_INTERVAL = 600.0  # between two decisions, seconds: how far beyond a cold start forecasts reach


def _demand(load: Load) -> DemandTrack:
    """Return the true demand, by the second."""
    requests, edges = load.workload, np.arange(int(np.ceil(load.seconds)) + 2)
    totals = (
        np.histogram(requests.at, edges, weights=weights)[0].astype(np.float64)
        for weights in (None, requests.prompt_tokens, requests.output_tokens)
    )
    return DemandTrack(1.0, *totals)


def _behavior(spec: BehaviorSpec | None, otherwise: Behavior) -> Behavior:
    if spec is None:
        return otherwise
    return Behavior(_rules(spec.scale_up, DEFAULT_UP), _rules(spec.scale_down, DEFAULT_DOWN))


def _rules(spec: RulesSpec | None, otherwise: Rules) -> Rules:
    if spec is None:
        return otherwise
    policies = tuple(RatePolicy(each.type, each.value, each.period_seconds) for each in spec.policies)
    return Rules(spec.stabilization_window_seconds, policies, spec.select_policy)


def _lengths(spec: LengthsSourceSpec) -> LengthSource:
    if spec.source == "NoisyOracle":
        return NoisyOracleLengths(spec.sigma)
    plain: dict[str, Callable[[], LengthSource]] = {
        "History": HistoryLengths,
        "Prior": PriorLengths,
        "Mean": MeanLengths,
        "Oracle": OracleLengths,
    }
    return plain[spec.source]()


def _routing(spec: RoutingSpec) -> Routing:
    return Routing(
        policy=spec.policy,
        bids=spec.bids,
        age_seconds=spec.age_seconds,
        binding=BINDINGS[spec.binding],
        order=spec.order,
        max_waiting=spec.max_waiting,
        max_wait_seconds=spec.max_wait_seconds,
    )
