"""Sources give the same requests for the same seed, at the rates and lengths that were asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_simulator.arrival_processes import instants
from presage_simulator.data import DATA_VARIABLE, Tables
from presage_simulator.scenario import ProcessSpec, ScenarioError, parse_scenario
from presage_simulator.sources import Load, load_of

from .scenarios import document, workload


def load(folder: Path, *, seed: int = 0, window: float = 60.0, **changes: Any) -> Load:
    """Return the load of the small workload with fields changed."""
    scenario = parse_scenario(document(workloads=[workload(**changes)], windowSeconds=window))
    return load_of(scenario, scenario.workloads[0], Tables(folder), seed)


def write(path: Path, **columns: Any) -> None:
    """Write a parquet."""
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def trace(tmp_path: Path) -> dict[str, Any]:
    """Ten requests ten seconds apart, with prefix blocks and sessions."""
    write(
        tmp_path / "trace.parquet",
        t=[10.0 * i for i in range(10)],
        prompt_tokens=[100 + i for i in range(10)],
        output_tokens=[10 + i for i in range(10)],
        hash_ids=[[7, 100 + i] for i in range(10)],
        session_id=[5, 5, 9, 9, 9, 5, 5, 9, 9, 9],
    )
    return {"stages": None, "lengths": None, "trace": {"path": "trace.parquet", "blockTokens": 64}}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 20), min_size=1, max_size=6),
    st.sampled_from(["Poisson", "Even", "Gamma"]),
    st.integers(0, 5),
)
def test_instants_are_sorted_within_bounds_and_none_where_the_rate_is_zero(
    rates: list[float], kind: str, seed: int
) -> None:
    """Every process keeps to its windows, whatever the rates."""
    edges = np.arange(len(rates) + 1) * 10.0
    process = ProcessSpec.model_validate({"kind": kind, "cv": 2.0})
    at = instants(edges, np.array(rates), process, np.random.default_rng(seed))
    assert (np.diff(at) >= 0).all()
    window = np.minimum((at // 10).astype(int), len(rates) - 1)
    assert (at >= 0).all()
    assert (at < edges[-1] + 1e-9).all()
    assert all(rates[each] > 0 or at_ % 10 == 0 for each, at_ in zip(window, at, strict=True))


@pytest.mark.parametrize(("kind", "cv", "low", "high"), [("Poisson", 1, 0.97, 1.03), ("Gamma", 3, 2.8, 3.2)])
def test_gaps_vary_as_asked(kind: str, cv: float, low: float, high: float) -> None:
    """Over many arrivals the coefficient of variation of gaps and the rate are those asked for."""
    process = ProcessSpec.model_validate({"kind": kind, "cv": cv})
    at = instants(np.array([0.0, 5000.0]), np.array([10.0]), process, np.random.default_rng(1))
    gaps = np.diff(at)
    assert low < gaps.std() / gaps.mean() < high
    assert len(at) == pytest.approx(50_000, rel=0.04)


def test_even_arrivals_have_equal_gaps_in_each_stage(tmp_path: Path) -> None:
    """Evenly spaced arrivals at 2 and 4 a second come every 500 and 250 ms."""
    made = load(tmp_path, process={"kind": "Even"})
    gaps = np.diff(made.workload.at)
    assert gaps[:118] == pytest.approx(0.5)
    assert gaps[121:] == pytest.approx(0.25)
    assert made.seconds == 120


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    """Equal seeds give equal columns, another seed gives other instants and other lengths."""
    first, again, other = load(tmp_path), load(tmp_path), load(tmp_path, seed=1)
    for column in ("at", "prompt_tokens", "output_tokens", "klass"):
        assert (getattr(first.workload, column) == getattr(again.workload, column)).all()
    assert first.workload.at[:50].tolist() != other.workload.at[:50].tolist()
    assert first.workload.prompt_tokens[:50].tolist() != other.workload.prompt_tokens[:50].tolist()


def test_a_trace_is_replayed_as_recorded_or_faster(tmp_path: Path, trace: dict[str, Any]) -> None:
    """Requests of the slice keep their lengths, sessions and prefixes, begin at 0, and come faster."""
    made = load(tmp_path, **trace, **{"from": 30, "until": 80, "rateFactor": 2})
    assert made.workload.at.tolist() == [0, 5, 10, 15, 20]
    assert made.seconds == 25
    assert made.workload.prompt_tokens.tolist() == [103, 104, 105, 106, 107]
    assert made.workload.client.tolist() == [1, 1, 0, 0, 1]
    prefix = made.workload.prefix
    assert prefix is not None
    assert prefix.block_tokens == 64
    assert prefix.ids.tolist() == [0, 1, 0, 2, 0, 3, 0, 4, 0, 5]


def test_history_is_what_precedes_the_slice(tmp_path: Path, trace: dict[str, Any]) -> None:
    """Forecasters are given the token rates of whole windows before `from`, ending at second 0."""
    made = load(tmp_path, window=20.0, **trace, **{"from": 40, "history": 40})
    assert made.history.end == 0
    assert made.history.prompt.tolist() == [(100 + 101) / 20, (102 + 103) / 20]
    assert made.history.output.tolist() == [(10 + 11) / 20, (12 + 13) / 20]


def test_history_does_not_change_the_slice(tmp_path: Path) -> None:
    """Drawn requests of a slice are the same however much history precedes it."""
    with_it = load(tmp_path, **{"from": 60, "history": 60})
    without = load(tmp_path, **{"from": 60})
    assert (with_it.workload.at == without.workload.at).all()
    assert len(with_it.history) == 1
    assert len(without.history) == 0


def test_rates_of_a_series_come_out(tmp_path: Path) -> None:
    """Requests per minute times the rate factor become that many arrivals; lengths come in pairs."""
    write(tmp_path / "series.parquet", t=[0, 600, 1200], per_minute=[600.0, 0.0, 1200.0])
    write(tmp_path / "pairs.parquet", prompt_tokens=[10, 20], output_tokens=[1, 2])
    series = {"path": "series.parquet", "column": "per_minute", "unit": "RequestsPerMinute"}
    made = load(tmp_path, stages=None, series=series, lengths={"trace": "pairs.parquet"}, rateFactor=0.5)
    counts = np.histogram(made.workload.at, [0, 600, 1200, 1800])[0]
    assert counts == pytest.approx([3000, 0, 6000], rel=0.05)
    assert counts[1] == 0
    assert (made.workload.prompt_tokens == 10 * made.workload.output_tokens).all()


def test_recorded_means_come_out(tmp_path: Path) -> None:
    """A load from Prometheus has each window's rate and mean lengths, whatever the spread."""
    recorded = {
        "windowSeconds": 600,
        "requestsPerSecond": [10, 20],
        "meanPromptTokens": [500, 1000],
        "meanOutputTokens": [100, 50],
    }
    made = load(tmp_path, stages=None, recorded=recorded, lengths={"sigma": 0.8})
    late = made.workload.at >= 600
    assert late.sum() == pytest.approx(12_000, rel=0.04)
    assert made.workload.prompt_tokens[~late].mean() == pytest.approx(500, rel=0.05)
    assert made.workload.prompt_tokens[late].mean() == pytest.approx(1000, rel=0.05)
    assert made.workload.output_tokens[late].mean() == pytest.approx(50, rel=0.05)


def test_classes_have_their_shares(tmp_path: Path) -> None:
    """Requests belong to classes by their shares, each with its own promise."""
    classes = [{"name": "fast", "share": 0.25}, {"name": "slow", "share": 0.75, "deadlineSeconds": 600}]
    made = load(tmp_path, classes=classes, rateFactor=20)
    assert (made.workload.klass == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert [each.deadline_seconds for each in made.workload.classes] == [None, 600]


def test_bad_tables_are_named(tmp_path: Path, trace: dict[str, Any]) -> None:
    """A missing file, a missing column, and times out of order are told with the file's name."""
    write(tmp_path / "short.parquet", t=[0.0, 1.0])
    write(tmp_path / "back.parquet", t=[1.0, 0.0], prompt_tokens=[1, 1], output_tokens=[1, 1])
    for name, told in (("none", "cannot be read"), ("short", "no column 'prompt_tokens'"), ("back", "sort")):
        with pytest.raises(ScenarioError, match=told) as error:
            load(tmp_path, **(trace | {"trace": {"path": f"{name}.parquet"}}))
        assert name in str(error.value)


def test_a_missing_data_folder_says_how_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`data:` paths need the data folder; without it the error names the variable."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ScenarioError, match=f"set {DATA_VARIABLE}"):
        load(tmp_path, stages=None, lengths=None, trace={"path": "data:traces/x.parquet"})
