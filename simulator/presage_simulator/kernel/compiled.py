"""Compiling the brain: numba versions of the policies' own functions, and of the kernel that calls them.

A policies function is rebuilt with its globals exchanged: functions of the policies by their compiled
versions, dataclasses by named tuples with the same fields. So simulator and live system run one source.

Machine code is kept on disk in a folder named after the hash of every source that went into it, so that a
changed source never meets stale code.
"""

import hashlib
import os
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from inspect import getsourcefile
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config

F = TypeVar("F", bound=Callable[..., Any])
POLICIES = "presage_policies"
_sources: set[str] = {__file__}  # files of everything compiled so far
_njit: Any = numba.njit  # where types are installed for it, they know neither all options nor all it returns
_config: Any = numba_config
_jit = _njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
_inlining_jit = _njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)


def compiled(function: F) -> F:
    """Compile a kernel function when it is first called."""
    _note(function)
    return _jit(function)  # type: ignore[no-any-return]  # numba has no types


def inlined(function: F) -> F:
    """Compile a kernel function into each of its callers: for small ones, dearer to call than to run."""
    _note(function)
    return _inlining_jit(function)  # type: ignore[no-any-return]  # numba has no types


def entry(function: F) -> F:
    """Compile a function that Python calls, and keep its machine code on disk.

    To be used below everything that the function calls, so that all sources are known.
    """
    _note(function)
    folder = _cache_folder()
    before = _config.CACHE_DIR
    if folder is not None:
        _config.CACHE_DIR = str(folder)
    try:
        return _njit(error_model="numpy", cache=folder is not None)(function)  # type: ignore[no-any-return]
    finally:
        _config.CACHE_DIR = before


@cache
def of_policies(function: F) -> F:
    """Return the compiled version of a policies function and of all that it calls there."""
    assert isinstance(function, FunctionType)
    known = function.__globals__
    exchanged = {name: _exchanged(known[name]) for name in function.__code__.co_names if name in known}
    rebuilt = FunctionType(
        function.__code__, {"__builtins__": __builtins__, "__name__": function.__module__} | exchanged
    )
    rebuilt.__qualname__ = function.__qualname__
    _note(function)
    return _jit(rebuilt)  # type: ignore[no-any-return]  # numba has no types


@cache
def twin(kind: type) -> Any:
    """Return the named tuple that stands for a dataclass in compiled code: same name, same fields."""
    _note(kind)
    return namedtuple(kind.__name__, [field.name for field in fields(kind)])  # noqa: PYI024 - made at run time


def _exchanged(value: Any) -> Any:
    if isinstance(value, FunctionType) and value.__module__.startswith(POLICIES):
        return of_policies(value)
    if isinstance(value, type) and is_dataclass(value) and value.__module__.startswith(POLICIES):
        return twin(value)
    return value


def _note(thing: Any) -> None:
    source = getsourcefile(thing)
    assert source is not None
    _sources.add(source)


def _cache_folder() -> Path | None:
    """Return the folder for machine code of exactly these sources; None where nothing can be written."""
    digest = hashlib.blake2b(f"{numba.__version__} {sys.version}".encode(), digest_size=16)
    for source in sorted(_sources):
        digest.update(Path(source).read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "presage" / "numba" / digest.hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
