"""The ConfigMap that the operator writes is the configuration that the sidecar reads."""

from collections.abc import Callable
from typing import Any

import yaml
from presage_crds import LLMService
from presage_operator.router_config import KEY, config_map, config_map_path
from presage_router.config import RouterConfig

Make = Callable[..., dict[str, Any]]


def test_the_sidecar_reads_what_the_operator_writes(service_object: Make) -> None:
    """Every routing field of the API arrives in the sidecar's own configuration, by its own parser."""
    raw = service_object()
    raw["spec"]["objectives"] = {"ttftMilliseconds": 700, "tpotMilliseconds": 33, "percentile": 95}
    raw["spec"]["routing"] = {
        "policy": "PrefixTokenLoad",
        "bids": 5,
        "queue": {"maxRequests": 9, "maxWaitSeconds": 11},
        "timeouts": {"connectSeconds": 3, "firstByteSeconds": 44, "idleSeconds": 55, "drainSeconds": 66},
        "maxBodyBytes": 2048,
    }
    written = config_map(LLMService.from_object(raw))["data"][KEY]
    read = RouterConfig.parse(written, KEY).model_dump(mode="json", by_alias=True)
    assert _within(yaml.safe_load(written), read)
    assert (read["service"], read["namespace"], read["policy"]) == ("chat", "prod", "PrefixTokenLoad")


def _within(part: Any, whole: Any) -> bool:
    """Tell whether every key of `part` has the same value in `whole`, which may have more."""
    if isinstance(part, dict):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


def test_defaults_of_the_api_are_spelled_out_for_the_sidecar(service: LLMService) -> None:
    """The written file names every key, so that a change of a default reaches running sidecars."""
    written = yaml.safe_load(config_map(service)["data"][KEY])
    assert set(written) == {
        "service",
        "namespace",
        "model",
        "policy",
        "bids",
        "predictor",
        "objectives",
        "profile",
        "queue",
        "timeouts",
        "maxBodyBytes",
    }
    RouterConfig.parse(yaml.safe_dump(written), KEY)


def test_the_config_map_dies_with_its_service(service: LLMService) -> None:
    """It is owned by the LLMService, without blocking its deletion, and named after it."""
    made = config_map(service)
    assert made["metadata"]["ownerReferences"] == [service.reference()]
    assert made["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] is False
    assert config_map_path("prod", "chat").endswith("/namespaces/prod/configmaps/presage-router-chat")
