"""What the load generator says, line by line: one record a request, one progress line a second.

It runs in a pod and speaks on standard output; the demo reads the pod's log. A log may be read twice
after a broken connection, so a record carries an id by which it counts once.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a request ended."""

    COMPLETED = "completed"
    FAILED = "failed"  # not accepted, or ended by an error event that says why
    LOST = "lost"  # accepted with 200, then neither completed nor given an error event


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request to one service, as its client saw it.

    `at` is its scheduled instant in seconds from the start of the part that counts (negative:
    warm-up). Latencies in milliseconds count from that instant, so a late load generator or a slow
    connection makes them longer, never shorter. `sent_late_ms` is how late it left. `tpot_ms` is the
    mean time per token after the first chunk's (None when there is none).
    """

    service: str
    number: int
    at: float
    outcome: Outcome
    status: int
    reason: str
    sent_late_ms: float
    ttft_ms: float | None
    tpot_ms: float | None
    e2e_ms: float | None
    prompt_tokens: int
    output_tokens: int

    def as_line(self) -> str:
        """Return the record as one JSON line."""
        return json.dumps({"kind": "request", **asdict(self)}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the replay is. `at` is seconds from the start of the part that counts; lateness in ms."""

    at: float
    sent: int
    in_flight: int
    late_p99_ms: float
    late_max_ms: float
    finished: bool

    def as_line(self) -> str:
        """Return the progress as one JSON line."""
        return json.dumps({"kind": "progress", **asdict(self)}, separators=(",", ":"))


def parse_line(line: str) -> RequestRecord | Progress | None:
    """Read one line of the load generator's log; None for anything that is no record (a warning, say)."""
    try:
        fields: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    kind = fields.pop("kind", None)
    if kind == "request":
        return RequestRecord(**{**fields, "outcome": Outcome(fields["outcome"])})
    return Progress(**fields) if kind == "progress" else None
