"""`presage length`: judged on any file of pairs, with errors that say what to mend."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from presage_cli.main import app
from presage_predictors.lengths.pairs import read_pairs
from presage_predictors.lengths.split import PARTS, part_of
from typer.testing import CliRunner

KEYS = {"mae", "median_ape", "within25", "spearman", "kendall_tau", "pinball", "coverage90", "width90"}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Return a file of 120 pairs: three models that differ in length, two sources, one cap."""
    rng = np.random.default_rng(4)
    rows = [
        {
            "source": f"source-{number % 2}",
            "model": f"model-{number % 3}",
            "prompt": f"Tell me about subject {rng.integers(30)} in some words",
            "prompt_tokens": 9,
            "response_tokens": int(rng.lognormal(3 + number % 3, 0.2)) + 1,
            "max_new_tokens": 400 if number % 2 else None,
        }
        for number in range(120)
    ]
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("tier", ["fast", "history", "combined"])
def test_a_tier_is_judged_on_a_file(pairs: Path, tmp_path: Path, tier: str) -> None:
    """The JSON has every figure overall and for each group; what is observed is told and not scored."""
    out = tmp_path / "out" / "figures.json"
    arguments = ["length", "eval", str(pairs), "--tier", tier, "--by", "model", "--observe", "10"]
    done = CliRunner().invoke(app, [*arguments, "--json", str(out)])
    assert done.exit_code == 0, done.output
    document = json.loads(out.read_text())
    assert set(document["overall"]) >= KEYS | {"us_p50", "us_p99"}
    assert document["observed"] == {"each": 10, "by": "model", "order": "mixed", "requests": 30}
    assert document["overall"]["requests"] == 90
    assert set(document["by"]["model"]) == {"model-0", "model-1", "model-2"}
    assert all(set(row) >= KEYS for row in document["by"]["model"].values())


def test_observing_helps(pairs: Path, tmp_path: Path) -> None:
    """Models whose lengths differ by e each are told apart after 20 requests: the error falls."""
    errors = []
    for observe in ("0", "20"):
        out = tmp_path / f"{observe}.json"
        arguments = ["length", "eval", str(pairs), "--tier", "fast", "--observe", observe, "--json", str(out)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        errors.append(json.loads(out.read_text())["overall"]["median_ape"])
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tier", "oracle"], "--tier"),
        (["--by", "colour"], "colour"),
        (["--observe", "1000"], "--observe"),
        (["--order", "random"], "--order"),
        (["--split", "people"], "people"),
        (["--tier", "transformer"], "--weights"),
    ],
)
def test_bad_options_are_named(pairs: Path, arguments: list[str], words: str) -> None:
    """What cannot be done is refused with the option or column that is wrong."""
    done = CliRunner().invoke(app, ["length", "eval", str(pairs), *arguments])
    assert done.exit_code == 2
    assert words in done.output


def test_the_split_keeps_prompts_apart(pairs: Path) -> None:
    """Every row is in one part, and no prompt of the part of new prompts is trained on."""
    data, _ = read_pairs(pairs)
    rows = {name: set(part_of(data, name).tolist()) for name in (*PARTS, "train")}
    assert sum(map(len, rows.values())) == len(data) == len(set().union(*rows.values()))
    trained = {data.prompts[data.prompt_of[row]] for row in rows["train"]}
    assert trained.isdisjoint(data.prompts[data.prompt_of[row]] for row in rows["prompts"])


def test_a_prompt_is_explained() -> None:
    """`explain` prints quantiles and never more than the cap."""
    done = CliRunner().invoke(app, ["length", "explain", "Write a long story", "--max-tokens", "7"])
    assert done.exit_code == 0
    assert "99 % within 7" in done.output


def test_weights_are_exported(tmp_path: Path) -> None:
    """`export` writes a file that `--weights` takes."""
    path = tmp_path / "w.safetensors"
    assert CliRunner().invoke(app, ["length", "export", str(path)]).exit_code == 0
    done = CliRunner().invoke(app, ["length", "explain", "Hello", "--weights", str(path)])
    assert done.exit_code == 0
