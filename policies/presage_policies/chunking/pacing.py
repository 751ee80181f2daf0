"""By when tokens are due, from a class's objectives (Niyama, arXiv 2503.22562 and its code).

An interactive class names the seconds to the first token and between tokens; a batch class names the
seconds to the last one, and is paced so that its last tokens are not left to the end.
"""


def first_token_due(arrived: float, deadline_seconds: float, decode: float, pace_seconds: float) -> float:
    """Return the time by which the first token is due.

    `deadline_seconds` is the class's TTFT, or its time to the last token less `decode` expected tokens of
    `pace_seconds` each (`decode` is 0 for an interactive class).
    """
    return arrived + deadline_seconds - decode * pace_seconds


def next_token_due(due: float, first_token_at: float, generated: float, pace_seconds: float) -> float:
    """Return the time by which the next token is due, after `generated` of them.

    A first token that came early leaves its slack to those that follow; one that came late moves them.
    """
    return max(due, first_token_at) + pace_seconds * (generated + 1.0)
