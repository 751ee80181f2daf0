"""Recorded load is read as rates, whatever form it was recorded in."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from presage_predictors.traces import TraceError, read_recording
from pyarrow import parquet


def written(path: Path, columns: dict[str, object]) -> Path:
    """Write a parquet file and return its path."""
    parquet.write_table(pa.table(columns), path)
    return path


def test_requests_are_counted(tmp_path: Path) -> None:
    """A request log gives requests and tokens per second; its last window, perhaps cut short, is left out."""
    log = {"t": [0.0, 5.0, 12.0, 31.0], "prompt_tokens": [10, 20, 30, 40], "output_tokens": [1, 1, 1, 1]}
    recording = read_recording(written(tmp_path / "log.parquet", log))
    assert recording.loads == ("requests", "prompt_tokens", "output_tokens")
    np.testing.assert_allclose(recording.rates("requests", 10.0), [0.2, 0.1, 0.0])
    np.testing.assert_allclose(recording.rates("prompt_tokens", 10.0), [3.0, 3.0, 0.0])


def test_units_are_seconds(tmp_path: Path) -> None:
    """Rates per minute, rates per second and sums per window all become rates per second."""
    table = {
        "t": [0, 60, 120, 240],
        "req_per_min": [60.0, 120.0, 60.0, 30.0],
        "tokens_per_s": [5.0, 7.0, 1.0, 2.0],
        "requests": [60, 60, 120, 60],
        "mean_cv": [1.0, 1.0, 1.0, 1.0],
    }
    recording = read_recording(written(tmp_path / "series.parquet", table))
    assert recording.loads == ("req_per_min", "tokens_per_s", "requests")
    np.testing.assert_allclose(recording.rates("req_per_min", 60.0), [1.0, 2.0, 1.0, np.nan, 0.5])
    np.testing.assert_allclose(recording.rates("tokens_per_s", 120.0), [6.0, 1.0])
    np.testing.assert_allclose(recording.rates("requests", 60.0), [1.0, 1.0, 2.0, np.nan, 1.0])


def test_clients_are_added_up(tmp_path: Path) -> None:
    """Rates by client become the rate of all."""
    table = {"client": [1, 2, 1, 2], "t": [0, 0, 600, 600], "rate": [1.0, 2.0, 3.0, 0.5]}
    recording = read_recording(written(tmp_path / "clients.parquet", table))
    np.testing.assert_allclose(recording.rates("req_per_s", 600.0), [3.0, 3.5])


def test_a_continuation_follows_its_past(tmp_path: Path) -> None:
    """Two parts of a recording are read as one; the wrong order is refused."""
    first = read_recording(written(tmp_path / "a.parquet", {"t": [0.0, 60.0], "tokens_per_s": [1.0, 2.0]}))
    second = read_recording(
        written(tmp_path / "b.parquet", {"t": [120.0, 180.0], "tokens_per_s": [3.0, 4.0]})
    )
    np.testing.assert_allclose(second.after(first).rates("tokens_per_s", 60.0), [1, 2, 3, 4])
    with pytest.raises(TraceError, match="ends after"):
        first.after(second)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """No parquet, no times, no such column and no fitting window are refused with what to give."""
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(TraceError, match="cannot be read"):
        read_recording(tmp_path / "text.parquet")
    with pytest.raises(TraceError, match="no column `t`"):
        read_recording(written(tmp_path / "x.parquet", {"x": [1.0, 2.0]}))
    recording = read_recording(written(tmp_path / "s.parquet", {"t": [0, 60], "tokens_per_s": [1.0, 2.0]}))
    with pytest.raises(TraceError, match="give one of tokens_per_s"):
        recording.rates("tokens", 60.0)
    with pytest.raises(TraceError, match="a multiple of 60"):
        recording.rates("tokens_per_s", 90.0)
