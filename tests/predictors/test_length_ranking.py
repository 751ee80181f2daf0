"""The rank head at run time: an order of requests, kept in the weights' file beside what was there."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_cli.main import app
from presage_policies.lengths import RequestFeatures
from presage_predictors.lengths import artefact
from presage_predictors.lengths.artefact import Artefact, ArtefactError
from presage_predictors.lengths.fast.network import FastTower, Weights
from presage_predictors.lengths.law import MEDIAN, RANK, log_quantiles
from presage_predictors.lengths.rank_trial import LEAST_RANKED, NO_LENGTHS, Ranked, figures
from presage_predictors.lengths.ranking import Ranker
from typer.testing import CliRunner


def without_training() -> Artefact:
    """Return the shipped weights with a rank head that is the regression's own layer."""
    shipped = artefact.shipped()
    return replace(shipped, rank=np.ascontiguousarray(shipped.weights.last[:, :RANK]))


@settings(max_examples=30)
@given(
    st.text(max_size=200), st.sampled_from(["gpt-4", "never seen"]), st.sampled_from([None, 1, 40, 100_000])
)
def test_an_untrained_head_scores_the_median(prompt: str, model: str, cap: int | None) -> None:
    """A head that is the regression's layer scores a request by its law's median log, or its cap's."""
    found = without_training()
    request = RequestFeatures("a", model, 9, cap, prompt)
    side, _ = found.sides.book().of(model)
    median = log_quantiles(FastTower(found.weights).read(request), side)[MEDIAN]
    wanted = min(median, math.log(cap or math.inf))
    assert Ranker(found).score(request) == pytest.approx(wanted, abs=1e-4)


def test_a_head_is_kept_beside_the_rest(tmp_path: Path) -> None:
    """A file with a head has it when it is read again, and all other weights as without one."""
    found, path = without_training(), tmp_path / "ranked.safetensors"
    artefact.save(found, path)
    again = artefact.load(path)
    assert again.rank is not None
    assert found.rank is not None
    assert (again.rank == found.rank).all()
    for field in fields(Weights):
        assert (getattr(again.weights, field.name) == getattr(found.weights, field.name)).all()


def test_weights_without_a_head_are_read_and_refused_for_ranks(tmp_path: Path) -> None:
    """A file without a head predicts lengths as ever; asked for ranks, it says what to do."""
    path = tmp_path / "plain.safetensors"
    artefact.save(replace(artefact.shipped(), rank=None), path)
    found = artefact.load(path)
    assert found.rank is None
    with pytest.raises(ArtefactError, match="presage length rank"):
        Ranker(found)


def test_a_head_of_another_tower_is_refused(tmp_path: Path) -> None:
    """A head whose shape does not fit the tower is named with both shapes."""
    path = tmp_path / "strange.safetensors"
    artefact.save(replace(artefact.shipped(), rank=np.zeros((3, RANK), np.float32)), path)
    with pytest.raises(ArtefactError, match=r"rank head of shape \(3, 12\)"):
        artefact.load(path)


def test_ranks_within_models_leave_out_how_models_differ() -> None:
    """Scores that order each model's requests but not the models are perfect within and not overall."""
    lengths = np.arange(1.0, LEAST_RANKED + 1)
    truth = np.concatenate([lengths, 100 * lengths])
    models = np.repeat(["short", "long"], LEAST_RANKED)
    found = figures(Ranked(np.concatenate([lengths, lengths]), truth, truth, models))
    assert found["kendall_tau_within_model"] == pytest.approx(1)
    assert found["kendall_tau"] is not None
    assert found["kendall_tau"] < 1
    assert found["median_of_fast_kendall_tau"] == pytest.approx(1)
    assert [found[name] for name in NO_LENGTHS] == [None] * len(NO_LENGTHS)


def test_few_requests_have_no_rank_within_a_model() -> None:
    """Models with fewer requests than `LEAST_RANKED` are not averaged; constant scores have no rank."""
    truth = np.arange(1.0, LEAST_RANKED)
    found = figures(Ranked(truth, np.ones(len(truth)), truth, np.full(len(truth), "one")))
    assert found["spearman"] == pytest.approx(1)
    assert found["kendall_tau_within_model"] is None
    assert found["median_of_fast_spearman"] is None


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Return a file of 40 pairs of two models."""
    rows = [
        {
            "source": "s",
            "model": f"model-{number % 2}",
            "prompt": f"Tell me about subject {number // 2} in some words",
            "prompt_tokens": 9,
            "response_tokens": 1 + number**2 % 97,
        }
        for number in range(40)
    ]
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_ranks_are_judged_on_a_file(pairs: Path, tmp_path: Path) -> None:
    """The JSON has ranks beside the median's and null for lengths; what is printed has a dash there."""
    weights, out = tmp_path / "ranked.safetensors", tmp_path / "ranks.json"
    artefact.save(without_training(), weights)
    arguments = ["length", "eval", str(pairs), "--tier", "rank", "--weights", str(weights), "--by", "model"]
    done = CliRunner().invoke(app, [*arguments, "--json", str(out)])
    assert done.exit_code == 0, done.output
    document = json.loads(out.read_text())
    assert document["overall"]["mae"] is None
    assert "mae -" in done.output
    beside = document["overall"]["median_of_fast_spearman"]  # calibrated, so about the same
    assert document["overall"]["spearman"] == pytest.approx(beside, abs=0.05)
    assert document["overall"]["us_p50"] > 0
    assert document["by"]["model"]["model-0"]["requests"] == 20
    refused = CliRunner().invoke(app, [*arguments, "--observe", "5"])
    assert refused.exit_code == 2
    assert "--observe" in refused.output
