"""How many replicas: policies as peers behind one protocol, and the constraints that hold for all."""

from collections.abc import Callable
from typing import Any

from presage_policies.scaling.behavior import Behavior, Change, RatePolicy, Rules
from presage_policies.scaling.capacity import CapacityProfile, modelled_rates
from presage_policies.scaling.constrain import ConstrainState, Decision, Limits, constrain
from presage_policies.scaling.hpa import HPA, HPAParameters, HPAState
from presage_policies.scaling.policy import InstanceSignal, Observation, ScalingPolicy, Sizing
from presage_policies.scaling.preserve import PreServe, PreServeParameters, PreServeState
from presage_policies.scaling.signals import ArrivalSignal, LatencySignal

SCALING_POLICIES: dict[str, Callable[[], ScalingPolicy[Any]]] = {"PreServe": PreServe, "HPA": HPA}

__all__ = [
    "HPA",
    "SCALING_POLICIES",
    "ArrivalSignal",
    "Behavior",
    "CapacityProfile",
    "Change",
    "ConstrainState",
    "Decision",
    "HPAParameters",
    "HPAState",
    "InstanceSignal",
    "LatencySignal",
    "Limits",
    "Observation",
    "PreServe",
    "PreServeParameters",
    "PreServeState",
    "RatePolicy",
    "Rules",
    "ScalingPolicy",
    "Sizing",
    "constrain",
    "modelled_rates",
]
