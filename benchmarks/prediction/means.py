"""Means that are taken from the quantiles of a length, against the true ones."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from presage_policies.lengths import WIRE_LEVELS
from presage_simulator.data import Tables
from presage_simulator.length_sources import mean_tokens

from benchmarks.prediction.forecasts import SCENARIO

Floats = NDArray[np.float64]

TRACES = (
    "aider_usage",
    "azure2023_code",
    "azure2023_conv",
    "mooncake_conversation",
    "servegen_deepseek-r1_resampled",
    "servegen_m-large_resampled",
)
RECENT, DRAWS = (
    200,
    300,
)  # responses that the history predictor keeps of a client, and how often they are drawn


def means() -> Iterator[tuple[str, ...]]:
    """Yield a row for each request trace: its mean, and how far means from quantiles are off."""
    tables, rng = Tables(SCENARIO.parent), np.random.default_rng(0)
    for trace in TRACES:
        tokens = tables.column(f"data:traces/{trace}.parquet", "output_tokens")
        tokens = tokens[np.isfinite(tokens) & (tokens > 0)]
        whole = np.quantile(tokens, WIRE_LEVELS)[None]
        recent = np.quantile(rng.choice(tokens, (DRAWS, RECENT)), WIRE_LEVELS, axis=1).T
        judged = (_linear(whole), _geometric(whole), _linear(recent))
        off = (f"{100 * (each.mean() / tokens.mean() - 1):+.1f} %" for each in judged)
        yield trace, f"{tokens.mean():.1f}", *off


def _linear(quantiles: Floats) -> Floats:
    """Return means [rows] as predictors take them."""
    return mean_tokens(quantiles.astype(np.float32))


def _geometric(quantiles: Floats) -> Floats:
    """Return means [rows] of quantiles [rows, levels] with the quantile function geometric between levels."""
    below, above = quantiles[:, :-1], np.maximum(quantiles[:, 1:], quantiles[:, :-1] * (1 + 1e-9))
    between = (above - below) / np.log(above / below) @ np.diff(WIRE_LEVELS)
    tails: Floats = WIRE_LEVELS[0] * quantiles[:, 0] + (1 - WIRE_LEVELS[-1]) * quantiles[:, -1]
    return tails + between
