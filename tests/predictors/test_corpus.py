"""Training examples: from the first part of each recording alone, without what is left out, by the seed."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from presage_predictors.backtest.scores import Task, score
from presage_predictors.mlstm.corpus import Corpus, Options, build, family, recorded
from presage_predictors.mlstm.services import YOUNG, diurnal, mixed, young
from presage_predictors.traces import TraceError
from presage_predictors.trees.control import Trees
from pyarrow import parquet

Numbers = NDArray[Any]
WINDOWS, FEW = 160, Options(from_clients=10, mixtures=4, diurnal=0, young=8)


def traces(folder: Path, tail: float = 0.0) -> Path:
    """Write a series and its clients; `tail` is added to the last quarter of both."""
    folder.mkdir()
    t = np.arange(WINDOWS) * 600
    late = np.where(np.arange(WINDOWS) >= 0.75 * WINDOWS, tail, 0.0)
    rate = 50 + 10 * np.random.default_rng(0).random(WINDOWS) + late
    parquet.write_table(pa.table({"t": t, "req_per_s": rate}), folder / "shop_series.parquet")
    clients = pa.table({"client": np.repeat([1, 2], WINDOWS), "t": np.tile(t, 2), "rate": np.tile(rate, 2)})
    parquet.write_table(clients, folder / "shop_client_rates.parquet")
    parquet.write_table(pa.table({"t": t, "tokens_per_s": rate * 9}), folder / "other_series.parquet")
    return folder


def equal(one: Numbers, two: Numbers) -> bool:
    """Return whether two arrays are equal to the bit."""
    return one.shape == two.shape and np.array_equal(one, two, equal_nan=True)


def same(one: Corpus, two: Corpus) -> bool:
    """Return whether two sets of examples are equal to the bit."""
    views = equal(one.view.steps, two.view.steps)
    return views and equal(one.truth, two.truth) and equal(one.weight, two.weight)


def test_what_tests_is_never_learnt(tmp_path: Path) -> None:
    """However the last quarter of a recording looks, the examples are the same."""
    assert same(build(traces(tmp_path / "a"), FEW), build(traces(tmp_path / "b", tail=1e6), FEW))


def test_the_seed_decides(tmp_path: Path) -> None:
    """The same seed makes the same examples, another seed others."""
    folder = traces(tmp_path / "a")
    assert same(build(folder, FEW), build(folder, FEW))
    assert not same(build(folder, FEW), build(folder, replace(FEW, seed=1)))


def test_a_trace_is_left_out_with_all_its_forms(tmp_path: Path) -> None:
    """Leaving out a trace leaves out its series and its clients, and nothing else."""
    folder = traces(tmp_path / "a")
    assert family("shop_series") == family("shop_client_rates") == "shop"
    left = recorded(folder, Options(without=("shop",)))
    assert [len(found) for found in left.by_window.values()] == [1]
    everything = recorded(folder, Options())
    assert [len(found) for found in everything.by_window.values()] == [2]
    with pytest.raises(TraceError, match="no trace to learn from"):
        build(folder, Options(without=("shop", "other")))


def test_young_services_are_learnt_too(tmp_path: Path) -> None:
    """Stretches of a day or so are examples of their own, on top of the whole series."""
    folder = traces(tmp_path / "a")
    without = build(folder, replace(FEW, young=0))
    assert len(build(folder, FEW).truth) > len(without.truth)
    rng, long = np.random.default_rng(2), [np.arange(1.0, 2000.0)]
    for _ in range(50):
        stretch = young(long, rng)
        assert YOUNG[0] <= len(stretch) < YOUNG[1]
        assert (np.diff(stretch) == 1).all()


def test_made_services_are_loads() -> None:
    """Whatever is drawn is never negative or infinite, and somewhere above zero."""
    rng = np.random.default_rng(3)
    base = [rng.gamma(2.0, 3.0, 200) for _ in range(3)]
    for _ in range(60):
        for made in (mixed(base, rng), diurnal(3600.0, rng)):
            present = made[np.isfinite(made)]
            assert not np.isinf(made).any()
            assert (present >= 0).all()
            assert present.sum() > 0


@pytest.mark.skipif(
    importlib.util.find_spec("lightgbm") is None, reason="lightgbm is not installed (extra `train`)"
)
def test_trees_learn_what_repeats() -> None:
    """On a load that alternates between two rates, the trees are far less off than the last value."""
    values = np.where(np.arange(600) % 2 == 0, 10.0, 20.0) + np.random.default_rng(0).random(600)
    task = Task("s", "c", 600.0, values, 450, np.array([1]))
    stated = Trees([values[:450]]).stated(values, 600.0, task.ahead, task.first)
    (row,) = score(task, "Trees", stated)
    assert row.wape is not None
    assert row.wape < 0.1
    assert 0.75 < row.coverage90 < 1.0
