"""Drawing how long requests are, by seed, where a source says only when they come."""

import numpy as np
from numpy.typing import NDArray

from presage_simulator.data import Tables
from presage_simulator.scenario import LengthsSpec, ScenarioError
from presage_simulator.scenario.workload import OneLength, RecordedSpec

Tokens = NDArray[np.int32]
Floats = NDArray[np.float64]


def drawn(
    lengths: LengthsSpec, count: int, tables: Tables, rng: np.random.Generator
) -> tuple[Tokens, Tokens]:
    """Return (prompt, output) tokens of `count` requests: pairs of a trace, or two independent draws."""
    if lengths.trace is not None:
        rows = rng.integers(len(tables.column(lengths.trace, "prompt_tokens")), size=count)
        return (
            _whole(tables.column(lengths.trace, "prompt_tokens")[rows]),
            _whole(tables.column(lengths.trace, "output_tokens")[rows]),
        )
    assert lengths.prompt is not None
    assert lengths.output is not None
    return _one(lengths.prompt, count, rng), _one(lengths.output, count, rng)


def around(
    recorded: RecordedSpec, sigma: float, windows: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Tokens, Tokens]:
    """Return lognormal lengths whose means are those recorded in each request's window."""
    drawn_lengths = []
    for means in (recorded.mean_prompt_tokens, recorded.mean_output_tokens):
        spread = np.exp(rng.normal(-(sigma**2) / 2, sigma, len(windows)))
        drawn_lengths.append(_whole(np.asarray(means)[windows] * spread))
    return drawn_lengths[0], drawn_lengths[1]


def mean_tokens(lengths: LengthsSpec, tables: Tables) -> float:
    """Return the mean of prompt and output tokens together, which turns rates of tokens into requests."""
    if lengths.trace is not None:
        both = tables.column(lengths.trace, "prompt_tokens") + tables.column(lengths.trace, "output_tokens")
        return float(both.mean())
    rng = np.random.default_rng(0)
    prompt, output = drawn(lengths, MEAN_DRAWS, tables, rng)
    return float(prompt.mean() + output.mean())


MEAN_DRAWS = 100_000  # a mean to about half a per cent, whatever the distribution


def _one(length: OneLength, count: int, rng: np.random.Generator) -> Tokens:
    if length.constant is not None:
        return np.full(count, length.constant.tokens, dtype=np.int32)
    if length.lognormal is not None:
        law = length.lognormal
        return _whole(np.minimum(law.median * np.exp(rng.normal(0, law.sigma, count)), law.max))
    assert length.quantiles is not None
    law_at = length.quantiles
    return _whole(np.interp(rng.uniform(size=count), law_at.levels, law_at.tokens))


def _whole(tokens: Floats) -> Tokens:
    if not np.isfinite(tokens).all():
        raise ScenarioError("lengths hold a value that is no number: mend the table")
    return np.maximum(1, np.rint(tokens)).astype(np.int32)
