"""Demand as the operator measures it: token rates a window, counted on arrival from what is predicted."""

import numpy as np
from presage_policies.forecasting import TokenSeries


class DemandMeter:
    """Counts prompt tokens and predicted output tokens on arrival, by window, after a given history."""

    def __init__(self, history: TokenSeries) -> None:
        self._history = history
        self._prompt: list[float] = []
        self._output: list[float] = []
        self._requests = 0
        self._prompt_total = 0.0
        self._output_total = 0.0

    def count(self, now: float, prompt_tokens: int, predicted_tokens: float) -> None:
        """Count an arrival."""
        self._fill(now)
        self._prompt[-1] += prompt_tokens
        self._output[-1] += predicted_tokens
        self._requests += 1
        self._prompt_total += prompt_tokens
        self._output_total += predicted_tokens

    def series(self, now: float) -> TokenSeries:
        """Return the rates of all windows that have ended by now."""
        self._fill(now)
        window = self._history.window_seconds
        return TokenSeries(
            window,
            self._history.end + (len(self._prompt) - 1) * window,
            np.concatenate([self._history.prompt, np.array(self._prompt[:-1]) / window]),
            np.concatenate([self._history.output, np.array(self._output[:-1]) / window]),
        )

    @property
    def mean_lengths(self) -> tuple[float, float] | None:
        """Mean prompt and predicted output tokens of all arrivals; None before the first."""
        if self._requests == 0:
            return None
        return self._prompt_total / self._requests, self._output_total / self._requests

    def _fill(self, now: float) -> None:
        window = int((now - self._history.end) // self._history.window_seconds)
        while len(self._prompt) <= window:
            self._prompt.append(0.0)
            self._output.append(0.0)
