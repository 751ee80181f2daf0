"""What the demo's predictive service can do without, to see what it is worth; light to import."""

from enum import StrEnum


class Ablation(StrEnum):
    """A part of prediction that is left out."""

    FORECASTS = "forecasts"
    LENGTHS = "lengths"
