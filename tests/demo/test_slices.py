"""The committed slices: where they come from, what they must not hold, what bad ones answer."""

import re
from pathlib import Path

import numpy as np
import pytest
from presage_cli.demo.plan import Plan
from presage_cli.demo.traces import Shape, TraceError, read_lengths, read_shape

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"
DATA = DEMO / "data"
SHAPE_HELD_OUT_FROM = 5.25 * 86_400  # the last quarter of each trace is kept for judging forecasts
LENGTHS_HELD_OUT_FROM = 2_577.0


def test_every_slice_has_its_source_and_licence() -> None:
    """Each CSV has a line in the data's README with repository, commit and licence, and citations follow."""
    readme = (DATA / "README.md").read_text()
    files = sorted(path.name for path in DATA.glob("*.csv"))
    assert files == ["lengths.csv", "shape.csv"]
    for name in files:
        (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{name}`")]
        assert "Azure/AzurePublicDataset" in row
        assert re.search(r"\b[0-9a-f]{40}\b", row)
        assert "CC-BY 4.0" in row
    assert "DynamoLLM" in readme
    assert "Splitwise" in readme


def test_nothing_held_out_is_committed() -> None:
    """Both slices end before the part of their trace that is kept for judging."""
    shape = np.loadtxt(DATA / "shape.csv", delimiter=",", skiprows=1)
    lengths = np.loadtxt(DATA / "lengths.csv", delimiter=",", skiprows=1)
    assert shape[:, 0].max() + 600 <= SHAPE_HELD_OUT_FROM
    assert lengths[:, 0].max() < LENGTHS_HELD_OUT_FROM


def test_the_slices_are_small() -> None:
    """Together they fit into one ConfigMap with room to spare."""
    assert sum(path.stat().st_size for path in DATA.glob("*.csv")) < 200_000


def test_the_replayed_windows_hold_a_rise_a_peak_and_a_fall(shape: Shape, plan: Plan) -> None:
    """The busiest window is several times the first, well after it, and the last ones are lower again."""
    first = plan.trace.first_window
    replayed = shape.requests_per_minute[first : first + plan.trace.windows]
    assert replayed.max() > 5 * replayed[0]
    assert int(replayed.argmax()) > 10
    assert replayed[-1] < 0.85 * replayed.max()
    assert len(shape.requests_per_minute) == first + plan.trace.windows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1"),
        ("a,b\n1,2\n", "line 1 is 'a,b'"),
        ("window_start_seconds,requests_per_minute\n0,1\n600,oops\n", "line 3 is '600,oops'"),
        ("window_start_seconds,requests_per_minute\n0,1\n600,-4\n", "line 3: requests_per_minute is -4"),
        ("window_start_seconds,requests_per_minute\n0,1\n600,1\n900,1\n", "equal steps"),
        ("window_start_seconds,requests_per_minute\n0,1\n600,nan\n", "line 3"),
        ("window_start_seconds,requests_per_minute\n", "no rows"),
    ],
)
def test_a_bad_shape_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    """A malformed series is refused with the file, the line and what was expected."""
    path = tmp_path / "shape.csv"
    path.write_text(text)
    with pytest.raises(TraceError, match=re.escape(message)) as refused:
        read_shape(path)
    assert str(path) in str(refused.value)


def test_bad_lengths_are_refused_by_line(tmp_path: Path) -> None:
    """A request without tokens is refused with its line."""
    path = tmp_path / "lengths.csv"
    path.write_text("t_seconds,prompt_tokens,output_tokens\n0,12,5\n1,7,0\n")
    with pytest.raises(TraceError, match="line 3: lengths are 7, 0"):
        read_lengths(path)


def test_a_missing_slice_says_where_slices_are(tmp_path: Path) -> None:
    """A missing file names the folder that holds the slices."""
    with pytest.raises(TraceError, match="examples/demo/data"):
        read_shape(tmp_path / "none.csv")
