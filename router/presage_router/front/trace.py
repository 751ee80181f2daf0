"""What happened to one request at its front: for the access log, and for whoever asks why."""

import json
from dataclasses import dataclass, field

from presage_policies.lengths import LengthDistribution
from presage_policies.routing import Bid

MOST_EXPLANATION_BYTES = 4096


@dataclass(slots=True)
class Trace:
    """One request's way; times in seconds, lengths in tokens. Holds no word of its prompt."""

    request_id: str
    path: str
    arrived: float
    model: str = ""
    stream: bool = False
    prompt_tokens: int = 0
    length: LengthDistribution | None = None
    policy: str = ""
    bids: dict[str, Bid] = field(default_factory=dict)
    peer: str = ""
    attempts: int = 0
    queued_seconds: float = 0.0
    first_byte_at: float | None = None
    output_tokens: int | None = None
    status: int = 0
    reason: str = ""

    def explanation(self) -> str:
        """Return compact JSON that fits a header: who bid what, predicted length, policy, waited seconds."""
        told: dict[str, object] = {
            "policy": self.policy,
            "chosen": self.peer,
            "waited_seconds": round(self.queued_seconds, 4),
            "attempts": self.attempts,
            "prompt_tokens": self.prompt_tokens,
            "predicted_output_tokens": _told_length(self.length),
        }
        bids = [(peer, _told_bid(bid)) for peer, bid in self.bids.items()]
        text = json.dumps(told | {"bids": dict(bids)}, separators=(",", ":"))
        while len(text) > MOST_EXPLANATION_BYTES and bids:
            bids.pop()
            text = json.dumps(told | {"bids": dict(bids), "cut": True}, separators=(",", ":"))
        return text

    def access_line(self, outcome: str, seconds: float) -> dict[str, object]:
        """Return the fields of the access line."""
        first = self.first_byte_at
        return {
            "request_id": self.request_id,
            "path": self.path,
            "status": self.status,
            "outcome": outcome,
            "reason": self.reason,
            "model": self.model,
            "stream": self.stream,
            "peer": self.peer,
            "attempts": self.attempts,
            "prompt_tokens": self.prompt_tokens,
            "predicted_tokens": round(self.length.mean, 1) if self.length else None,
            "output_tokens": self.output_tokens,
            "queue_seconds": round(self.queued_seconds, 4),
            "ttft_seconds": None if first is None else round(first - self.arrived, 4),
            "e2e_seconds": round(seconds, 4),
        }


def _told_length(length: LengthDistribution | None) -> dict[str, float] | None:
    if length is None:
        return None
    return {
        "mean": round(length.mean, 1),
        "p05": round(length.quantile(0.05), 1),
        "p50": round(length.median, 1),
        "p90": round(length.quantile(0.9), 1),
        "p95": round(length.quantile(0.95), 1),
    }


def _told_bid(bid: Bid) -> dict[str, object]:
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in bid.as_wire().items()}
