"""Rates of tokens: apart from `forecasting`, so that an engine can be timed without loading numpy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Prompt and output tokens per second."""

    prompt: float
    output: float

    @property
    def total(self) -> float:
        """Both kinds together, tokens per second."""
        return self.prompt + self.output

    def scaled(self, factor: float) -> "TokenRates":
        """Return both rates times `factor`."""
        return TokenRates(self.prompt * factor, self.output * factor)
