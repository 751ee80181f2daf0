"""Spreading independent runs over processes."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Ran = TypeVar("Ran")


def spread(run: Callable[[Task], Ran], tasks: Sequence[Task], jobs: int) -> Iterator[Ran]:
    """Yield what each task brought, in their order; over `jobs` processes where that is more than 1."""
    if jobs <= 1:
        yield from map(run, tasks)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(run, tasks)
