"""Scaling policies by name, and making one from parameters as a scenario or an API gives them."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from presage_policies.scaling.dynamo import Dynamo, DynamoParameters
from presage_policies.scaling.hpa import HPA, HPAParameters
from presage_policies.scaling.keda_slo import KEDASLO, KEDASLOParameters
from presage_policies.scaling.keda_tokens import KEDATokens, KEDATokensParameters
from presage_policies.scaling.knative import Knative, KnativeParameters
from presage_policies.scaling.policy import ScalingPolicy
from presage_policies.scaling.preserve import PreServe, PreServeParameters
from presage_policies.scaling.sageserve import SageServe, SageServeParameters
from presage_policies.scaling.slo_model import SLOModel, SLOModelParameters
from presage_policies.scaling.static import Static, StaticParameters

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

_PARAMETERS: dict[str, tuple[Callable[[Any], ScalingPolicy[Any]], type[Any]]] = {
    "PreServe": (PreServe, PreServeParameters),
    "HPA": (HPA, HPAParameters),
    "SLOModel": (SLOModel, SLOModelParameters),
    "Static": (Static, StaticParameters),
    "KEDASLO": (KEDASLO, KEDASLOParameters),
    "KEDATokens": (KEDATokens, KEDATokensParameters),
    "Knative": (Knative, KnativeParameters),
    "Dynamo": (Dynamo, DynamoParameters),
    "SageServe": (SageServe, SageServeParameters),
}


def scaling_policy(name: str, parameters: Mapping[str, Any] | None = None) -> ScalingPolicy[Any]:
    """Return the policy of that name with parameters by their field names, snake_case or camelCase.

    Raises ValueError that names the policy or parameter that is unknown, and lists those there are.
    """
    if name not in _PARAMETERS:
        raise ValueError(f"scaling policy {name!r} is unknown: use one of {', '.join(_PARAMETERS)}")
    make, kind = _PARAMETERS[name]
    known = {field.name for field in fields(kind)}
    given = {_snake(key): value for key, value in (parameters or {}).items()}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(
            f"scaling policy {name} has no parameter {unknown[0]!r}: known are {', '.join(sorted(known))}"
        )
    return make(kind(**given))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
