"""Which iterations an engine can run at all, and how often each occurs: what a fit has to be good at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presage_policies.fitting.samples import Floats

DECODE_ONLY_SHARE = 0.8  # at 10 requests/s and 20 ms an iteration, four of five iterations prefill nothing
MOST_CONTEXT = 8192  # grid points beyond it are rare in service and would bend the line for all others
CHUNKS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
CONTEXTS = (0, 512, 1024, 2048, 4096, 8192)
DECODES = (0, 1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256)
DECODE_CONTEXTS = (128, 256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What bounds an iteration: KV tokens, sequences, tokens computed, and tokens of context to be fitted."""

    kv_capacity_tokens: int
    max_sequences: int
    token_budget: int
    most_context: int = MOST_CONTEXT

    def admits(self, rows: Floats) -> NDArray[np.bool_]:
        """Return which rows of (chunk, its context, decodes, context of each) can run; shape [n]."""
        chunk, context, decodes, kv_each = rows.T
        possible = (chunk + decodes <= self.token_budget) & (decodes <= self.max_sequences)
        possible &= decodes * kv_each + context + chunk <= self.kv_capacity_tokens
        possible &= (kv_each <= self.most_context) & (context <= self.most_context)
        return np.asarray(possible & (chunk + decodes > 0))

    def grid(self) -> Floats:
        """Return the iterations to put together from tables that give no whole ones; shape [n, 4]."""
        rows = [
            (chunk, context, decodes, kv_each)
            for chunk in (0, *CHUNKS)
            for context in (CONTEXTS if chunk else (0,))
            for decodes in DECODES
            for kv_each in (DECODE_CONTEXTS if decodes else (0,))
        ]
        grid = np.array(rows, dtype=float)
        return np.asarray(grid[self.admits(grid)])


def occurrence(rows: Floats) -> Floats:
    """Return how often iterations of a grid occur; shape [n], the sum is 1.

    Grids are spaced by factors, so a row stands for as many chunk sizes as its chunk is large. Decode-only
    iterations are alike. The two kinds are weighed as they occur, whatever the grid's counts.
    """
    chunk = rows[:, 0]
    decode = chunk == 0
    if decode.all():
        return np.full(len(rows), 1 / len(rows))
    prefill = chunk / chunk.sum()
    if not decode.any():
        return np.asarray(prefill)
    return np.asarray(
        np.where(decode, DECODE_ONLY_SHARE / decode.sum(), (1 - DECODE_ONLY_SHARE) * prefill), dtype=float
    )
