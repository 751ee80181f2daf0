"""Niyama (QoServe): hybrid priority, dynamic chunks and eager relegation (arXiv 2503.22562).

Constants and rules are those of the authors' scheduler (microsoft/sarathi-serve, commit 72339db,
`deadline_scheduler.py`); where the paper says more than the code, it is said so.
"""

import numpy as np
from numpy.typing import NDArray

ALPHA_LOADED = 0.008
ALPHA_IDLE = 0.001
MARGIN = 1.2
TOKENS_OF_A_BATCH = (128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2552)
FIRST_RATE = 8500.0
RATE_KEPT = 0.995


def hybrid(deadline: float, prefill: float, decode: float, alpha: float) -> float:
    """Return the key of the hybrid priority: deadline + alpha·remaining work (seconds).

    `deadline` is of the first token of an interactive request, of the last one of a batch request;
    `prefill` are prompt tokens still to be computed, `decode` the output tokens expected of a batch
    request (the paper takes the mean and two deviations of its class), 0 of an interactive one; `alpha`
    is in seconds a token. At 0 this is EDF, at infinity SRPF.
    """
    return deadline + alpha * (prefill + decode)


def largest_fitting(seconds: NDArray[np.float64], slack: float, margin: float) -> int:
    """Return the index of the largest batch that ends in time; 0, the smallest, when none does.

    `seconds[k]` is the predicted time of an iteration with the k-th size, growing with k; `slack` is the
    least time until a decoding request's next token is due; `margin` covers errors of the prediction.
    """
    for index in range(len(seconds) - 1, 0, -1):
        if seconds[index] * margin <= slack:
            return index
    return 0


def hopeless(now: float, remaining: float, tokens_per_second: float, due: float) -> bool:
    """Tell whether a prompt would miss its deadline even if it were computed alone from now on.

    Such a request is relegated: it goes after all that can still make it, and is served when these leave
    room. Only a prompt that holds no KV yet is relegated, and only once.
    """
    return now + remaining / tokens_per_second > due


def learned_rate(rate: float, tokens: float, seconds: float) -> float:
    """Return the prefill rate (tokens/s) learned from one more iteration that prefilled `tokens`."""
    return RATE_KEPT * rate + (1.0 - RATE_KEPT) * tokens / seconds
