"""Compiling what the simulator runs a million times a second, the brain's own functions among it.

A policy function stays plain Python for those who serve requests; here the very same function is compiled.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit
from numba.core.registry import CPUDispatcher

F = TypeVar("F", bound=Callable[..., object])

_COMPILED: dict[Callable[..., object], Callable[..., object]] = {}


def compiled(function: F) -> F:
    """Return the function compiled by numba; the same compiled one each time, and itself if it is one.

    Small functions are inlined where they are called: handing on arrays costs more than most of them do.
    """
    if isinstance(function, CPUDispatcher):
        return function
    if function not in _COMPILED:
        _COMPILED[function] = njit(error_model="numpy", forceinline=True)(function)
    return cast("F", _COMPILED[function])
