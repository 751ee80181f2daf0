"""Requests of a scenario of kind Iterations, by seed."""

import numpy as np
from numpy.typing import NDArray
from presage_policies.objectives import Objectives

from presage_simulator.data import Tables
from presage_simulator.iterations.scenario import LoadSpec
from presage_simulator.scenario import ClassSpec
from presage_simulator.workload import SLOClass, Workload

MILLISECONDS = 1e-3


def workload_of(
    load: LoadSpec,
    classes: tuple[ClassSpec, ...],
    tables: Tables,
    seed: int,
    *,
    rate: float,
    count: int | None,
) -> Workload:
    """Return requests at a rate (1/s): `count` with Poisson arrivals, or the recorded ones for None.

    Under one seed other rates bring the same requests in the same order, faster or slower.
    """
    prompt, output = (tables.column(load.lengths, name) for name in ("prompt_tokens", "output_tokens"))
    gaps, lengths, kinds = (np.random.default_rng((seed, part)) for part in range(3))
    if count is None:
        recorded = tables.column(load.lengths, "t")
        rows = np.arange(len(recorded))
        at = (recorded - recorded[0]) * (len(recorded) / (recorded[-1] - recorded[0])) / rate
    else:
        at = np.cumsum(gaps.exponential(1.0 / rate, count))
        rows = lengths.integers(len(prompt), size=count)
    shares = [each.share for each in classes]
    return Workload(
        at,
        _whole(prompt[rows] * load.prompt_factor),
        _whole(output[rows]),
        kinds.choice(len(classes), size=len(rows), p=shares).astype(np.int16),
        np.zeros(len(rows), dtype=np.int32),
        tuple(_class(each) for each in classes),
    )


def only(workload: Workload, index: int) -> Workload:
    """Return the requests of one class alone."""
    here = workload.klass == index
    return Workload(
        workload.at[here],
        workload.prompt_tokens[here],
        workload.output_tokens[here],
        np.zeros(int(here.sum()), dtype=np.int16),
        workload.client[here],
        (workload.classes[index],),
    )


def _class(spec: ClassSpec) -> SLOClass:
    assert spec.objectives is not None
    objectives = Objectives(
        spec.objectives.ttft_milliseconds * MILLISECONDS, spec.objectives.tpot_milliseconds * MILLISECONDS
    )
    return SLOClass(spec.name, objectives, spec.deadline_seconds)


def _whole(tokens: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.maximum(1, np.rint(tokens)).astype(np.int32)
