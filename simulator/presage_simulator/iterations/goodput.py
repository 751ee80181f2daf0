"""Goodput as Niyama's authors measure it: the highest rate at which every class still meets its objective."""

from collections.abc import Callable


def highest_rate(worst: Callable[[float], float], allowed: float, at_most: float, within: float) -> float:
    """Return the highest rate (requests/s) at which `worst`, a share of violations, is at most `allowed`.

    Bisection between 0 and `at_most`: `worst` must grow with the rate, which it does but for chance when
    other rates bring the same requests. Raises ValueError when `at_most` is still served well.
    """
    if worst(at_most) <= allowed:
        raise ValueError(f"goodput.atMost is {at_most:g} and still served well: give more")
    low, high = 0.0, at_most
    while high - low > within:
        middle = (low + high) / 2
        low, high = (middle, high) if worst(middle) <= allowed else (low, middle)
    return low
