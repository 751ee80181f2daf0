"""Where a service's requests come from: a recorded trace, a series of rates, stages, or Prometheus."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from presage_simulator.scenario.part import Part, exactly_one
from presage_simulator.scenario.service import Name, Positive, ServiceDefaults

Rate = Annotated[float, Field(ge=0)]
Tokens = Annotated[int, Field(ge=1)]
DataPath = Annotated[str, Field(min_length=1)]

RateUnit = Literal["RequestsPerSecond", "RequestsPerMinute", "TokensPerSecond"]


class TraceSpec(Part):
    """A table (parquet or CSV) of single requests: `t` (s), `prompt_tokens`, `output_tokens`, sorted by `t`.

    Used when present: `hash_ids` (prefix blocks), and as the client `client`, `user_id` or `session_id`.
    """

    path: DataPath
    """Relative to the scenario file, or `data:traces/x.parquet` for the data folder."""

    time: str = "t"
    """The column of seconds."""

    block_tokens: Tokens = 512
    """Prompt tokens that one of `hash_ids` stands for."""


class SeriesSpec(Part):
    """A table (parquet or CSV) of rates in equal windows: `t` (s, start of the window) and one of rates."""

    path: DataPath
    """Relative to the scenario file, or `data:traces/x.parquet` for the data folder."""

    time: str = "t"
    """The column of seconds."""

    column: str
    """The column of rates."""

    unit: RateUnit = "RequestsPerSecond"
    """What the column counts. Tokens become requests by the mean of `lengths`."""


class Stage(Part):
    """A constant rate for a while."""

    requests_per_second: Rate
    """Arrivals."""

    seconds: Positive
    """For how long."""


class RecordedSpec(Part):
    """What a service recorded of its own load, window by window, as read from Prometheus."""

    window_seconds: Positive
    """Length of a window."""

    requests_per_second: Annotated[tuple[Rate, ...], Field(min_length=1)]
    """Arrivals, one number a window."""

    mean_prompt_tokens: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Mean prompt of each window."""

    mean_output_tokens: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Mean answer of each window."""

    @model_validator(mode="after")
    def _even(self) -> Self:
        lengths = {
            "requestsPerSecond": len(self.requests_per_second),
            "meanPromptTokens": len(self.mean_prompt_tokens),
            "meanOutputTokens": len(self.mean_output_tokens),
        }
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise ValueError(f"{told} windows: give equally many")
        return self


class ProcessSpec(Part):
    """How rates become instants."""

    kind: Literal["Poisson", "Even", "Gamma"] = "Poisson"
    """`Poisson`; `Even`: equal gaps; `Gamma`: independent gaps with the coefficient of variation `cv`."""

    cv: Positive = 1.0
    """Coefficient of variation of the gaps of `Gamma`; 1 is Poisson, more is burstier."""


class ConstantLength(Part):
    """Every request alike."""

    tokens: Tokens
    """Its length."""


class LognormalLength(Part):
    """Lognormal lengths."""

    median: Positive
    """Median in tokens."""

    sigma: Annotated[float, Field(ge=0, le=4)]
    """Standard deviation of the logarithm."""

    max: Tokens = 32768
    """Longest; what is drawn beyond is cut."""


class QuantileLength(Part):
    """Lengths by inverse transform from quantiles; linear between levels, flat outside."""

    levels: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)]
    """Levels, rising."""

    tokens: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """The quantile at each level."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if len(self.levels) != len(self.tokens):
            raise ValueError(f"{len(self.levels)} levels and {len(self.tokens)} tokens: give equally many")
        if any(b <= a for a, b in zip(self.levels, self.levels[1:], strict=False)) or any(
            b < a for a, b in zip(self.tokens, self.tokens[1:], strict=False)
        ):
            raise ValueError("levels must rise and tokens must not fall")
        return self


class OneLength(Part):
    """The distribution of one of the two lengths; exactly one field."""

    constant: ConstantLength | None = None
    """Every request alike."""

    lognormal: LognormalLength | None = None
    """Lognormal."""

    quantiles: QuantileLength | None = None
    """By quantiles."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        exactly_one({"constant": self.constant, "lognormal": self.lognormal, "quantiles": self.quantiles})
        return self


class LengthsSpec(Part):
    """How long requests are: those of a trace, drawn in pairs, or two distributions, drawn apart."""

    trace: DataPath | None = None
    """A request trace whose (prompt, output) pairs are drawn by seed with replacement."""

    prompt: OneLength | None = None
    """Prompt tokens, where no trace is given."""

    output: OneLength | None = None
    """Output tokens, where no trace is given."""

    sigma: Annotated[float, Field(ge=0, le=4)] | None = None
    """With `recorded`: both lengths are lognormal around the window's means, with this spread."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        both = None if self.prompt is None and self.output is None else (self.prompt, self.output)
        exactly_one({"trace": self.trace, "prompt and output": both, "sigma": self.sigma})
        if both is not None and None in both:
            raise ValueError("prompt and output go together: give both")
        return self


class WorkloadSpec(ServiceDefaults):
    """One service and its requests: exactly one of `trace`, `series`, `stages`, `recorded`."""

    name: Name
    """The service's name."""

    trace: TraceSpec | None = None
    """Requests as recorded."""

    series: SeriesSpec | None = None
    """Rates as recorded; needs `lengths`."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] | None = None
    """Constant rates one after another; needs `lengths`."""

    recorded: RecordedSpec | None = None
    """Rates and mean lengths from Prometheus; needs `lengths.sigma`."""

    process: ProcessSpec = ProcessSpec()
    """How rates become instants; a trace has instants of its own."""

    lengths: LengthsSpec | None = None
    """How long requests are; a trace has lengths of its own."""

    from_: Annotated[float, Field(ge=0, alias="from")] = 0.0
    """Second of the source at which the simulation begins."""

    until: Positive | None = None
    """Second of the source at which arrivals end. Left out: at its end."""

    history: Annotated[float, Field(ge=0)] = 0.0
    """Seconds of the source before `from` whose load forecasters know at the start."""

    rate_factor: Positive = 1.0
    """Rates are multiplied by it; a trace is replayed that much faster, so its gaps shrink."""

    @property
    def kind(self) -> str:
        """Which of the four sources it has."""
        return exactly_one(
            {"trace": self.trace, "series": self.series, "stages": self.stages, "recorded": self.recorded}
        )

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        kind = self.kind
        if kind == "trace" and self.lengths is not None:
            raise ValueError("lengths: a trace has lengths of its own; remove it")
        if kind != "trace" and self.lengths is None:
            raise ValueError(f"lengths: {kind} says only when requests come; add how long they are")
        if (kind == "recorded") != (self.lengths is not None and self.lengths.sigma is not None):
            raise ValueError("lengths.sigma and recorded go together")
        if self.until is not None and self.until <= self.from_:
            raise ValueError(f"until is {self.until:g} and from {self.from_:g}: let it end after it begins")
        if self.history > self.from_:
            raise ValueError(
                f"history is {self.history:g} s but only {self.from_:g} s precede `from`: give at most that"
            )
        return self
