"""Scaling policies by the names that scenarios and the API give them."""

from collections.abc import Callable
from typing import Any

from presage_policies.scaling.dynamo import Dynamo
from presage_policies.scaling.hpa import HPA
from presage_policies.scaling.keda_slo import KEDASLO
from presage_policies.scaling.keda_tokens import KEDATokens
from presage_policies.scaling.knative import Knative
from presage_policies.scaling.policy import ScalingPolicy
from presage_policies.scaling.preserve import PreServe
from presage_policies.scaling.sageserve import SageServe
from presage_policies.scaling.slo_model import SLOModel
from presage_policies.scaling.static import Static

SCALING_POLICIES: dict[str, Callable[[], ScalingPolicy[Any]]] = {
    "PreServe": PreServe,
    "HPA": HPA,
    "SLOModel": SLOModel,
    "Static": Static,
    "KEDASLO": KEDASLO,
    "KEDATokens": KEDATokens,
    "Knative": Knative,
    "Dynamo": Dynamo,
    "SageServe": SageServe,
}
"""Each takes its parameters as its only argument, and has defaults for all of them."""
