"""An iteration-time model in two pieces, for engines whose small batches are bound by memory.

Niyama's scheduler predicts with such a model, fitted by its authors on an A100; the linear model of
`timing` is the same in both pieces, so one scheduler simulator runs with either.
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from presage_policies.engine.timing import EngineProfile


@dataclass(frozen=True, slots=True)
class Stratum:
    """Seconds of an iteration: fixed, and per unit of what it computes.

    Tokens are all tokens computed, of which some are of prompts and some are decoded; sequences are
    requests that take part; contexts are the tokens that decoding requests, and prompts, have behind them;
    attention is the sum over prompts of chunk·(context + chunk/2).
    """

    fixed: float
    per_token: float = 0.0
    per_prefill_token: float = 0.0
    per_decode_token: float = 0.0
    per_sequence: float = 0.0
    per_decode_context: float = 0.0
    per_prefill_context: float = 0.0
    per_prefill_attention: float = 0.0


@dataclass(frozen=True, slots=True)
class StratifiedTime:
    """`small` holds up to and including `split_tokens` tokens an iteration, `large` beyond."""

    split_tokens: int
    small: Stratum
    large: Stratum

    @classmethod
    def of_profile(cls, profile: EngineProfile) -> "StratifiedTime":
        """Return a profile's linear model in this form."""
        c = profile.coefficients
        stratum = Stratum(
            c.fixed,
            per_token=c.per_token,
            per_sequence=c.per_sequence,
            per_decode_context=c.per_kv_token,
            per_prefill_attention=c.per_prefill_attention,
        )
        return cls(0, stratum, stratum)

    def table(self) -> NDArray[np.float64]:
        """Return the coefficients [2, 8], small then large, for `stratified_seconds`."""
        return np.array([astuple(self.small), astuple(self.large)])


def stratified_seconds(  # noqa: PLR0917 - the terms of the model
    table: NDArray[np.float64],
    split_tokens: int,
    prefill: float,
    decode: float,
    sequences: float,
    decode_context: float,
    prefill_context: float,
    attention: float,
) -> float:
    """Return how long an iteration takes (seconds); see `Stratum` for its terms."""
    c = table[0] if prefill + decode <= split_tokens else table[1]
    return float(
        c[0]
        + c[1] * (prefill + decode)
        + c[2] * prefill
        + c[3] * decode
        + c[4] * sequences
        + c[5] * decode_context
        + c[6] * prefill_context
        + c[7] * attention
    )


# Llama-3-8B, fp16, on one A100 80 GB: fitted by the authors of Niyama (microsoft/sarathi-serve, commit
# 72339db, `deadline_scheduler.py`).
NIYAMA_LLAMA_3_8B_A100 = StratifiedTime(
    split_tokens=512,
    small=Stratum(
        fixed=0.014936,
        per_token=5.882475e-05,
        per_prefill_token=2.247956e-05,
        per_decode_token=3.634519e-05,
        per_decode_context=1.111258e-07,
        per_prefill_context=7.554773e-07,
    ),
    large=Stratum(
        fixed=0.005004,
        per_token=2.719050e-05,
        per_prefill_token=6.863043e-05,
        per_decode_token=-4.143993e-05,
        per_decode_context=1.663409e-07,
        per_prefill_context=2.727223e-06,
    ),
)
