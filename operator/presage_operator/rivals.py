"""Never two writers of one target: of several LLMServices that would scale it, the eldest does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from presage_operator.observe import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable

    from presage_operator.kube import Object


def rival_of(raw: Object, others: Iterable[Object]) -> Trouble | None:
    """Return why `raw` may not scale its target: an elder service in mode Auto does; None if it may.

    Services in other modes write nothing, so that two policies can be compared on one target.
    """
    wanted = _written(raw)
    if wanted is None:
        return None
    for other in others:
        if _written(other) == wanted and _age(other) < _age(raw):
            name, kind, target = other["metadata"]["name"], wanted[1], wanted[2]
            return Trouble(
                "TargetClaimed",
                f"{kind} {target} is scaled by LLMService {name} already, which is older; name another target"
                " in scaleTargetRef, or set scaling.mode: Recommend",
            )
    return None


def _written(raw: Object) -> tuple[str, ...] | None:
    """Return the target that a service writes: namespace, kind, name, API version; None: none."""
    spec: dict[str, Any] = raw.get("spec") or {}
    if (spec.get("scaling") or {}).get("mode") != "Auto":
        return None
    try:
        ref = spec["pools"][0]["scaleTargetRef"]
        kind, version = ref.get("kind", "Deployment"), ref.get("apiVersion", "apps/v1")
        return raw["metadata"]["namespace"], kind, ref["name"], version
    except (KeyError, IndexError, TypeError):
        return None  # not readable; its own keeper says so


def _age(raw: Object) -> tuple[str, str]:
    return str(raw["metadata"].get("creationTimestamp", "")), str(raw["metadata"]["name"])
