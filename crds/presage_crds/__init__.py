"""The API: what a user declares, written once as pydantic models.

The CustomResourceDefinition and the reference page are generated from these models, and the operator
reads objects through them, so that the three cannot disagree.
"""

from presage_crds.errors import InvalidObjectError, Problem
from presage_crds.metrics import Metrics, Prometheus
from presage_crds.names import API_VERSION, GROUP, KIND, PLURAL, SERVICE_LABEL, VERSION
from presage_crds.pools import Pool, ScaleTargetRef
from presage_crds.routing import LengthPredictorName, Queue, Routing, RoutingPolicy, Timeouts
from presage_crds.scaling import (
    Behavior,
    External,
    Fallback,
    Forecast,
    ForecastModel,
    HPATargets,
    ScaleDown,
    ScaleUp,
    Scaling,
    ScalingMode,
    ScalingPolicyName,
    SelectPolicy,
    Step,
    StepType,
)
from presage_crds.service import LLMService, Metadata
from presage_crds.spec import LLMServiceSpec, Objectives
from presage_crds.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    ForecastStatus,
    LLMServiceStatus,
    PoolStatus,
)

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "PLURAL",
    "SERVICE_LABEL",
    "VERSION",
    "Behavior",
    "Condition",
    "ConditionStatus",
    "ConditionType",
    "External",
    "Fallback",
    "Forecast",
    "ForecastModel",
    "ForecastStatus",
    "HPATargets",
    "InvalidObjectError",
    "LLMService",
    "LLMServiceSpec",
    "LLMServiceStatus",
    "LengthPredictorName",
    "Metadata",
    "Metrics",
    "Objectives",
    "Pool",
    "PoolStatus",
    "Problem",
    "Prometheus",
    "Queue",
    "Routing",
    "RoutingPolicy",
    "ScaleDown",
    "ScaleTargetRef",
    "ScaleUp",
    "Scaling",
    "ScalingMode",
    "ScalingPolicyName",
    "SelectPolicy",
    "Step",
    "StepType",
    "Timeouts",
]
