"""How many replicas: policies as peers behind one protocol, and the constraints that hold for all."""

from presage_policies.scaling.behavior import Behavior, Change, RatePolicy, Rules
from presage_policies.scaling.capacity import CapacityProfile, modelled_rates
from presage_policies.scaling.constrain import ConstrainState, Decision, Limits, constrain
from presage_policies.scaling.dynamo import Dynamo, DynamoParameters
from presage_policies.scaling.foresight import DemandTrack, Foresight
from presage_policies.scaling.hpa import HPA, HPAParameters, HPAState
from presage_policies.scaling.keda_slo import KEDA_SLO_BEHAVIOR, KEDASLO, KEDASLOParameters
from presage_policies.scaling.keda_tokens import KEDATokens, KEDATokensParameters
from presage_policies.scaling.knative import Knative, KnativeParameters
from presage_policies.scaling.policy import InstanceSignal, Observation, ScalingPolicy, Sizing
from presage_policies.scaling.preserve import PUBLISHED, PreServe, PreServeParameters, PreServeState
from presage_policies.scaling.registry import SCALING_POLICIES
from presage_policies.scaling.sageserve import SageServe, SageServeParameters
from presage_policies.scaling.signals import ArrivalSignal, LatencySignal
from presage_policies.scaling.slo_model import SLO_MODEL_BEHAVIOR, SLOModel, SLOModelParameters
from presage_policies.scaling.static import Static, StaticParameters

__all__ = [
    "HPA",
    "KEDASLO",
    "KEDA_SLO_BEHAVIOR",
    "PUBLISHED",
    "SCALING_POLICIES",
    "SLO_MODEL_BEHAVIOR",
    "ArrivalSignal",
    "Behavior",
    "CapacityProfile",
    "Change",
    "ConstrainState",
    "Decision",
    "DemandTrack",
    "Dynamo",
    "DynamoParameters",
    "Foresight",
    "HPAParameters",
    "HPAState",
    "InstanceSignal",
    "KEDASLOParameters",
    "KEDATokens",
    "KEDATokensParameters",
    "Knative",
    "KnativeParameters",
    "LatencySignal",
    "Limits",
    "Observation",
    "PreServe",
    "PreServeParameters",
    "PreServeState",
    "RatePolicy",
    "Rules",
    "SLOModel",
    "SLOModelParameters",
    "SageServe",
    "SageServeParameters",
    "ScalingPolicy",
    "Sizing",
    "Static",
    "StaticParameters",
    "constrain",
    "modelled_rates",
]
