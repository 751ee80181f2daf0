"""What a service promises its users; every layer weighs its decisions against these two latencies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Objectives:
    """Latency objectives in seconds, to be met by `percentile` percent of requests.

    Raises ValueError naming the field when a latency is not positive or the percentile not in (0, 100).
    """

    ttft_seconds: float
    tpot_seconds: float
    percentile: float = 99.0

    def __post_init__(self) -> None:
        for field in ("ttft_seconds", "tpot_seconds"):
            value = getattr(self, field)
            if not value > 0:
                raise ValueError(f"objectives.{field} is {value!r}: give a positive number of seconds")
        if not 0 < self.percentile < 100:  # noqa: PLR2004 - a percentage
            raise ValueError(f"objectives.percentile is {self.percentile!r}: give a number between 0 and 100")

    def met_by(self, ttft: float, tpot: float | None) -> bool:
        """Tell whether one request met both objectives; `tpot` is None for a one-token answer."""
        return ttft <= self.ttft_seconds and (tpot is None or tpot <= self.tpot_seconds)
