"""Orders of waiting prompts that Niyama is compared with; the smallest key is prefilled first.

One signature: time of arrival and time by which the first token is due (seconds), prompt tokens that are
still to be computed, and the seconds that one of them takes. Keys do not depend on the time of asking.
"""


def first_come(arrived: float, due: float, remaining: float, seconds_per_token: float) -> float:  # noqa: ARG001 - one signature
    """Return the key of FCFS."""
    return arrived


def earliest_deadline(arrived: float, due: float, remaining: float, seconds_per_token: float) -> float:  # noqa: ARG001 - one signature
    """Return the key of EDF."""
    return due


def shortest_prefill(arrived: float, due: float, remaining: float, seconds_per_token: float) -> float:  # noqa: ARG001 - one signature
    """Return the key of SRPF, the shortest remaining prompt first."""
    return remaining


def least_slack(arrived: float, due: float, remaining: float, seconds_per_token: float) -> float:  # noqa: ARG001 - one signature
    """Return the key of the least slack: the latest time at which the prompt must start (seconds)."""
    return due - remaining * seconds_per_token
