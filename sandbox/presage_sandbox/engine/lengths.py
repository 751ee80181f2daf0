"""How many tokens an answer has: the one thing that nobody but the engine may know.

A replayed request brings its true length in a header. Any other request draws a lognormal whose
seed is its own text, so that the same question has the same answer on every engine with the same
seed, in whatever order requests arrive.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from presage_sandbox.engine.errors import bad_request

if TYPE_CHECKING:
    from presage_sandbox.engine.parameters import Parameters

LENGTH_HEADER = "x-emulated-output-tokens"

# Ours: a plain chat-like spread, half of the answers under 120 tokens, the mean near 200.
_LOG_MEDIAN = 4.79
_LOG_SIGMA = 1.0
_MOST = 1_000_000


def true_length(header: str | None, parameters: Parameters, seed: int) -> int:
    """Give the output tokens that the model would write if nothing cut it, at least 1.

    Raises ApiError (400) when the header is not a whole number from 1 to 1,000,000.
    """
    if header is not None:
        return _from_header(header)
    if parameters.ignore_eos:
        return parameters.limit
    drawn = Random(f"{seed}|{parameters.draw_key}").lognormvariate(_LOG_MEDIAN, _LOG_SIGMA)  # noqa: S311 - a reproducible draw, no secret
    return max(1, parameters.min_tokens, round(drawn))


def _from_header(header: str) -> int:
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) <= len(str(_MOST)) and 1 <= int(text) <= _MOST:
        return int(text)
    raise bad_request(
        LENGTH_HEADER,
        f"{LENGTH_HEADER} is {header[:40]!r}: give a whole number from 1 to {_MOST}, or leave it out",
    )
