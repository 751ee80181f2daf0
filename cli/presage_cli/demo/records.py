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
class PredictedLength:
    """What a front expected of an answer, in tokens: the median and the bounds of its 90 % interval."""

    p05: float
    p50: float
    p95: float

    @classmethod
    def explained(cls, explanation: str | None) -> "PredictedLength | None":
        """Read it from the header `x-presage-explanation`; None where that says nothing of lengths."""
        try:
            told = json.loads(explanation or "null")["predicted_output_tokens"]
            return cls(float(told["p05"]), float(told["p50"]), float(told["p95"]))
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request to one service, as its client saw it.

    `at` is its scheduled instant in seconds from the start of the part that counts (negative:
    warm-up). Latencies in milliseconds count from that instant, so a late load generator or a slow
    connection makes them longer, never shorter. `sent_late_ms` is how late it left. `tpot_ms` is the
    mean time per token after the first chunk's (None when there is none). `predicted` is what its front
    expected of the answer's length, as it explained on request (None when it did not).
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
    predicted: PredictedLength | None = None

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
        told = fields.pop("predicted", None)
        predicted = None if told is None else PredictedLength(**told)
        return RequestRecord(**{**fields, "outcome": Outcome(fields["outcome"])}, predicted=predicted)
    return Progress(**fields) if kind == "progress" else None
