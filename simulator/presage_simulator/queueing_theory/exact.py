"""Exact mean responses of the M/M/1 queue (mean service 1) under FIFO, SRPT and SPRPT.

Integrals over sizes are taken over their logarithm by the trapezoid rule, which converges exponentially
for integrands that vanish at both ends; the grids below are good to six digits.
"""

from math import e

import numpy as np
from numpy.typing import NDArray

_LOG_SIZES = np.linspace(-16.0, 6.0, 1_501)
_LOG_KEYS = np.linspace(-24.0, 7.0, 1_501)


def fifo_response(load: float) -> float:
    """Return the mean response of M/M/1 in order of arrival: 1/(1 - load), in mean services."""
    return 1.0 / (1.0 - load)


def srpt_response(load: float) -> float:
    """Return the mean response of M/M/1 under SRPT, in mean services (Schrage and Miller 1966).

    A request of size x waits λ(∫₀ˣ t²f(t)dt + x²·P(X > x))/(2(1-u(x))²) and is then served in
    ∫₀ˣ dt/(1-u(t)), where u(x) = λ∫₀ˣ t·f(t)dt is the load of what is no larger than x.
    """
    x = np.exp(_LOG_KEYS)
    beyond = np.exp(-x)
    free = 1.0 - load * (1.0 - beyond * (1.0 + x))
    second_moment = 2.0 - beyond * (x**2 + 2.0 * x + 2.0)
    waiting = load * (second_moment + x**2 * beyond) / (2.0 * free**2)
    return _integral(_LOG_KEYS, (waiting + 1.0 / free) * beyond)


def sprpt_response(load: float) -> float:
    """Return the mean response of M/M/1 under SPRPT, in mean services (arXiv 1902.00732; derived here).

    Predictions are exponential with the true size as mean: density g(x, y) = exp(-x - y/x)/x. With
    Kₙ(y) = ∫₀^∞ xⁿ·exp(-x - y/x)dx, a request predicted y waits
    λ(E[X²; Y ≤ y] + E[((X - (Y - y))⁺)²; Y > y])/(2(1-u(y))²) = λ(2 - K₂ + (1 - 2/e)K₂)/(2(1-u(y))²),
    where u(y) = λ(1 - K₁(y)) is the load of what is predicted no longer, and K₋₁ is the density of y.
    Its service passes each predicted remainder r with probability (1 - 1/e)K₀(r), at speed 1-u(r), and
    what outlives its prediction, 1/e on average, is never preempted.
    """
    y = np.exp(_LOG_KEYS)
    free = 1.0 - load * (1.0 - _moment(1, y))
    waiting = load * (2.0 - 2.0 / e * _moment(2, y)) / (2.0 * free**2)
    served = (1.0 - 1.0 / e) * _moment(0, y) / free
    return _integral(_LOG_KEYS, waiting * _moment(-1, y) + served) + 1.0 / e


def _moment(power: int, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Kₙ(y) of `sprpt_response`."""
    x = np.exp(_LOG_SIZES)
    values: NDArray[np.float64] = x ** (power + 1) * np.exp(-x - y[:, None] / x)
    return np.asarray(values.sum(axis=1) * (_LOG_SIZES[1] - _LOG_SIZES[0]))


def _integral(logarithms: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return ∫ f(x)dx from f at x = exp(logarithm), evenly spaced."""
    return float((values * np.exp(logarithms)).sum() * (logarithms[1] - logarithms[0]))
