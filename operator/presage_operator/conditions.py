"""Conditions of an LLMService: what is so, since when, and why, in words and figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from presage_crds import Condition, ConditionStatus, ConditionType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from presage_crds import LLMServiceStatus

LONGEST_MESSAGE = 1000

# Ready is the summary of these. A forecast may be missing (a new service has no past) and the mode
# may be Recommend: the service is served all the same.
ESSENTIAL = (
    ConditionType.TARGET_RESOLVED,
    ConditionType.METRICS_AVAILABLE,
    ConditionType.ROUTER_READY,
)


@dataclass(frozen=True)
class Finding:
    """One aspect of the service as this pass found it; `holds` None = not known."""

    type: ConditionType
    holds: bool | None
    reason: str
    message: str

    @property
    def status(self) -> ConditionStatus:
        """The condition's status."""
        if self.holds is None:
            return ConditionStatus.UNKNOWN
        return ConditionStatus.TRUE if self.holds else ConditionStatus.FALSE


def summary(findings: Mapping[ConditionType, Finding]) -> Finding:
    """`Ready`: the first essential aspect that does not hold, or that all do."""
    for kind in ESSENTIAL:
        finding = findings[kind]
        if finding.holds is not True:
            return Finding(ConditionType.READY, finding.holds, finding.reason, finding.message)
    blocked = findings[ConditionType.SCALING_ACTIVE]
    if blocked.holds is None:
        return Finding(ConditionType.READY, None, blocked.reason, blocked.message)
    return Finding(ConditionType.READY, True, "Serving", findings[ConditionType.ROUTER_READY].message)


def conditions(
    findings: Iterable[Finding], before: LLMServiceStatus, generation: int, now: float
) -> tuple[Condition, ...]:
    """Return the findings as API conditions; a transition time moves only when the status does."""
    return tuple(_condition(finding, before, generation, now) for finding in findings)


def _condition(finding: Finding, before: LLMServiceStatus, generation: int, now: float) -> Condition:
    earlier = before.condition(finding.type)
    unchanged = earlier is not None and earlier.status == finding.status
    since = earlier.last_transition_time if earlier and unchanged else datetime.fromtimestamp(now, UTC)
    return Condition(
        type=finding.type.value,
        status=finding.status,
        observed_generation=generation,
        last_transition_time=since,
        reason=finding.reason,
        message=finding.message[:LONGEST_MESSAGE],
    )
