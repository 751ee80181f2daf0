"""Token rates over time, past and forecast: what operator, predictors and scaling policies exchange."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from presage_policies.rates import TokenRates as TokenRates  # noqa: PLC0414 - others read it from here

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TokenSeries:
    """Past token rates, one per window, oldest first; NaN = absent (never zero).

    `end` is the end of the last window (seconds). Raises ValueError when shapes or the window are wrong.
    """

    window_seconds: float
    end: float
    prompt: Floats  # shape [windows], tokens per second
    output: Floats  # shape [windows], tokens per second

    def __post_init__(self) -> None:
        if not self.window_seconds > 0:
            raise ValueError(f"window_seconds is {self.window_seconds!r}: give a positive number of seconds")
        if self.prompt.ndim != 1 or self.prompt.shape != self.output.shape:
            raise ValueError(
                f"prompt has shape {self.prompt.shape}, output {self.output.shape}: give one rate a window"
            )

    def __len__(self) -> int:
        return len(self.prompt)

    @classmethod
    def of(
        cls, window_seconds: float, end: float, prompt: Sequence[float], output: Sequence[float]
    ) -> "TokenSeries":
        """Build a series from plain sequences of tokens per second."""
        return cls(window_seconds, end, np.asarray(prompt, dtype=float), np.asarray(output, dtype=float))

    @classmethod
    def empty(cls, window_seconds: float, end: float) -> "TokenSeries":
        """Return a series without any window: nothing is known yet."""
        return cls.of(window_seconds, end, [], [])

    def latest(self, windows: int = 1) -> TokenRates | None:
        """Return the mean of the present rates in the last `windows`; None when any kind has none."""
        prompt, output = self.prompt[-windows:], self.output[-windows:]
        if not np.isfinite(prompt).any() or not np.isfinite(output).any():
            return None
        return TokenRates(_finite_mean(prompt), _finite_mean(output))


def _finite_mean(values: Floats) -> float:
    return float(values[np.isfinite(values)].mean())


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Quantiles of the token rates of the coming windows; window 0 begins at `generated_at`.

    `model` names the model that served it. Raises ValueError when shapes disagree.
    """

    model: str
    generated_at: float
    window_seconds: float
    levels: tuple[float, ...]
    prompt: Floats  # shape [levels, steps], tokens per second
    output: Floats  # shape [levels, steps], tokens per second

    def __post_init__(self) -> None:
        expected = len(self.levels)
        for name, values in (("prompt", self.prompt), ("output", self.output)):
            if values.ndim != 2 or values.shape[0] != expected:  # noqa: PLR2004 - levels by steps
                raise ValueError(f"{name} has shape {values.shape}: give [{expected} levels, steps]")
        if self.prompt.shape != self.output.shape or self.prompt.shape[1] == 0:
            raise ValueError(
                f"prompt has shape {self.prompt.shape}, output {self.output.shape}: "
                "give the same, 1 step or more"
            )

    @property
    def steps(self) -> int:
        """How many windows ahead the forecast reaches."""
        return int(self.prompt.shape[1])

    def at(self, level: float) -> tuple[Floats, Floats]:
        """Return prompt and output rates of every step at a quantile level (linear between levels)."""
        prompt = np.array([np.interp(level, self.levels, column) for column in self.prompt.T])
        output = np.array([np.interp(level, self.levels, column) for column in self.output.T])
        return prompt, output

    def peak(self, level: float, horizon_seconds: float, now: float | None = None) -> TokenRates:
        """Return the largest window (per kind) between `now` and the horizon after it, tokens per second.

        `now` defaults to `generated_at`. A horizon beyond the last step is answered with what there is.
        """
        begin = 0.0 if now is None else max(0.0, now - self.generated_at)
        first = min(self.steps - 1, int(begin // self.window_seconds))
        last = min(self.steps, max(first + 1, math.ceil((begin + horizon_seconds) / self.window_seconds)))
        prompt, output = self.at(level)
        return TokenRates(float(prompt[first:last].max()), float(output[first:last].max()))


class Forecaster(Protocol):
    """Forecasts token rates; pure in its arguments, so that it can be backtested on any past."""

    @property
    def name(self) -> str:
        """The model's name as users read it in the status."""
        ...

    def forecast(self, series: TokenSeries, steps: int, now: float) -> Forecast | None:
        """Forecast `steps` windows from the end of `series`; None when there is too little history."""
        ...
