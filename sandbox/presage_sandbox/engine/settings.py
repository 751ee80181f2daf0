"""What one emulated engine is told at start-up, checked before the port opens."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from presage_policies.engine import EngineProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How the emulated engine behaves.

    `cold_start_seconds` and all latencies of the profile are engine seconds; one real second is
    `time_scale` engine seconds. `max_model_len` (tokens) None means all that the KV cache holds.
    `grace_seconds` are real: how long running answers may take to finish after SIGTERM.
    Raises ValueError that names the field, the value and the fix.
    """

    profile: EngineProfile
    model: str
    host: str = "127.0.0.1"
    port: int = 8200
    cold_start_seconds: float = 0.0
    time_scale: float = 1.0
    stream_interval: int = 1
    seed: int = 0
    max_model_len: int | None = None
    grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        _require(bool(self.model), "model", self.model, "give the name that clients send as `model`")
        _require(0 <= self.port <= 65535, "port", self.port, "use 1 to 65535, or 0 for any free port")  # noqa: PLR2004 - the range of ports
        _require(
            isfinite(self.cold_start_seconds) and self.cold_start_seconds >= 0,
            "cold-start-seconds",
            self.cold_start_seconds,
            "use 0 or more seconds",
        )
        _require(
            isfinite(self.time_scale) and self.time_scale > 0,
            "time-scale",
            self.time_scale,
            "use a factor above 0; 1 is real time, 10 is ten times as fast",
        )
        _require(self.stream_interval >= 1, "stream-interval", self.stream_interval, "use 1 or more tokens")
        _require(
            isfinite(self.grace_seconds) and self.grace_seconds >= 0,
            "grace-seconds",
            self.grace_seconds,
            "use 0 or more seconds",
        )
        if self.max_model_len is not None:
            most = self.profile.kv_capacity_tokens
            _require(
                2 <= self.max_model_len <= most,  # noqa: PLR2004 - one token in, one out
                "max-model-len",
                self.max_model_len,
                f"use 2 to {most}, the KV capacity of profile {self.profile.name}",
            )

    @property
    def context_tokens(self) -> int:
        """The longest prompt plus answer, in tokens, in whole KV blocks unless it was given."""
        if self.max_model_len is not None:
            return self.max_model_len
        block = self.profile.block_tokens
        return self.profile.kv_capacity_tokens // block * block


def _require(holds: bool, field: str, value: object, fix: str) -> None:
    if not holds:
        raise ValueError(f"{field} is {value!r}: {fix}")
