"""ARIMA(p, 1, 0) by least squares: the forecasts that the Dynamo-like and SageServe-like policies make.

Both systems fit ARIMA models with a library; the differenced autoregression below is the part of the family
that a few hours of history can support. It is theirs in kind and ours in form.
"""

from collections.abc import Sequence

import numpy as np


def next_value(history: Sequence[float], order: int = 1) -> float | None:
    """Return a forecast of the next value, never below zero; the last value while history is short.

    The differences follow an autoregression of that order with a constant, fitted by least squares with a
    small ridge; none without history.
    """
    values = np.asarray(history, dtype=float)
    if len(values) == 0:
        return None
    steps = np.diff(values)
    if len(steps) < 2 * order + 2:
        return float(values[-1])
    rows = np.column_stack([steps[order - 1 - lag : len(steps) - 1 - lag] for lag in range(order)])
    rows = np.column_stack([rows, np.ones(len(rows))])
    targets = steps[order:]
    ridge = 1e-6 * max(1.0, float((rows**2).sum())) * np.eye(order + 1)
    weights = np.linalg.solve(rows.T @ rows + ridge, rows.T @ targets)
    latest = np.append(steps[: -order - 1 : -1], 1.0)
    return max(0.0, float(values[-1] + latest @ weights))
