"""Training of length predictors: what its parts compute, on data whose truth is known."""

from collections import Counter
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from presage_policies.lengths import RequestFeatures
from presage_predictors.lengths import artefact
from presage_predictors.lengths.evaluation import kendall_tau
from presage_predictors.lengths.law import BASE, RANK, READING, SIDE
from presage_predictors.lengths.pairs import Pairs
from presage_predictors.lengths.ranking import Ranker
from presage_predictors.lengths.text import SIGNALS, read
from presage_predictors.lengths.training.variants import asking

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")

from presage_predictors.lengths.training import ranking  # noqa: E402
from presage_predictors.lengths.training.asked import PULL, drawn  # noqa: E402 - needs torch
from presage_predictors.lengths.training.ensemble import Medians, averaged  # noqa: E402
from presage_predictors.lengths.training.factors import factors_of  # noqa: E402
from presage_predictors.lengths.training.process import FITTED, Views, process_scores  # noqa: E402
from presage_predictors.lengths.training.rows import TOGETHER, Rows  # noqa: E402

PROMPTS, MODELS = 60, 30


def planted(rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
    """Return rows of a rank-one matrix seen at four of five places with noise of 0.1, and the matrix."""
    truth = (
        5
        + rng.normal(size=(MODELS, 1)).T / 4
        + np.outer(rng.normal(size=PROMPTS), rng.uniform(0.5, 1, MODELS))
    )
    prompt, model = np.nonzero(rng.random((PROMPTS, MODELS)) < 0.8)
    seen = torch.tensor(truth[prompt, model] + rng.normal(0, 0.1, len(prompt)), dtype=torch.float32)
    ones = torch.ones(len(prompt))
    names = tuple(f"model-{number}" for number in range(MODELS))
    return Rows(prompt.astype(np.int64), model.astype(np.int64), seen, 20 * ones, ones, names), truth


def test_factors_fill_in_what_was_not_seen() -> None:
    """The factors of a noisy low-rank matrix give its unseen entries, and the first factor carries them."""
    rows, truth = planted(np.random.default_rng(1))
    found = factors_of(rows, PROMPTS, seed=1)
    unseen = np.ones((PROMPTS, MODELS), bool)
    unseen[rows.prompt, rows.model] = False
    made = found.level + found.scores @ found.vectors.T
    assert np.abs(made - truth)[unseen].mean() < 0.1
    assert (found.vectors[:, 0] ** 2).sum() > 10 * (found.vectors[:, 1:] ** 2).sum()


def test_a_process_tells_prompts_by_what_they_are_like() -> None:
    """Where a prompt's sentence vector tells its factor, the process predicts it for prompts without rows."""
    rng = np.random.default_rng(2)
    rows, _ = planted(rng)
    factors = factors_of(rows, PROMPTS, seed=1)
    hidden = np.concatenate([factors.scores[:, 0], rng.uniform(-1.5, 1.5, 40)])
    angle = hidden / 2
    sentence = torch.tensor(np.column_stack([np.sin(angle), np.cos(angle)]), dtype=torch.float32)
    nothing = torch.zeros(len(hidden), 3)
    scores = process_scores(factors, np.bincount(rows.prompt), Views(sentence, nothing, nothing), seed=1)
    assert scores.shape == (len(hidden), FITTED)
    assert np.corrcoef(scores[PROMPTS:, 0], hidden[PROMPTS:])[0, 1] > 0.95


def test_an_average_that_fits_in_a_law_is_kept_whole() -> None:
    """Members whose ranks together are within a law's are averaged without loss."""
    rng = np.random.default_rng(3)
    members = [
        (Medians(rng.normal(size=16), rng.normal(size=(50, 4)), rng.normal(size=(16, 4))), weight)
        for weight in (1.0, 3.0)
    ]
    readings, vectors = averaged(members, np.ones(50), rng.uniform(1, 2, 16))
    wanted = sum(weight / 4 * (one.level + one.readings @ one.vectors.T) for one, weight in members)
    got = BASE + readings[:, :1] + vectors[:, 0] + readings[:, 1:] @ vectors[:, 1:].T
    assert readings.shape[1] == vectors.shape[1] == RANK
    assert got == pytest.approx(wanted, abs=1e-9)


def test_a_batch_holds_each_row_once_and_few_of_one_prompt_together() -> None:
    """An epoch's batches are a permutation of the rows, in groups of at most `TOGETHER` of a prompt."""
    rows, _ = planted(np.random.default_rng(4))
    batches = list(rows.batches(len(rows.prompt), 1.0, seed=5))
    assert sorted(np.concatenate(batches)) == list(range(len(rows.prompt)))
    changes = 1 + np.count_nonzero(np.diff(rows.prompt[batches[0]]))
    groups = sum(-(-count // TOGETHER) for count in Counter(rows.prompt.tolist()).values())
    assert PROMPTS <= changes <= groups


def test_a_length_asked_for_is_read_back() -> None:
    """Every prompt made to ask for a length is heard to do so by the signals."""
    for place, text in asking(["Tell me of the sea", "A poem"], 50, seed=6):
        assert place in {0, 1}
        reading = read(RequestFeatures("", "", 9, None, text))
        assert reading.signals[SIGNALS.index("length asked")] == 1


def test_medians_go_part_of_the_way_to_what_is_asked() -> None:
    """For the average model the median's log moves by `PULL` of its distance from the length asked for."""
    rng = np.random.default_rng(7)
    readings = torch.tensor(rng.normal(size=(1, READING)), dtype=torch.float32)
    vectors = torch.tensor(rng.normal(size=(5, SIDE)), dtype=torch.float32)
    asking_text = read(RequestFeatures("", "", 9, None, "Tell me of the sea in 200 words"))

    def median(of: Any) -> float:
        sides = vectors.mean(0)
        return float(BASE + of[0, 0] + sides[0] + of[0, 1:RANK] @ sides[1:RANK])

    wanted = (1 - PULL) * median(readings) + PULL * np.log(200 * 1.35)
    assert median(drawn(readings, vectors, [asking_text])) == pytest.approx(wanted, abs=1e-5)


def test_the_likelihoods_of_all_orders_make_one() -> None:
    """ListMLE's loss is that of a probability over orders: those of all orders of a list sum to one."""
    scores = torch.tensor([0.3, -1.2, 0.8, 2.0])
    total = 0.0
    for order in permutations(range(4)):
        tokens = 100 * torch.tensor([order.index(place) for place in range(4)])  # falls along the order
        total += float(torch.exp(-4 * ranking.list_mle(scores[None], -tokens[None])))
    assert total == pytest.approx(1, abs=1e-5)


def test_a_rank_head_learns_an_order_that_the_regression_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where longer prompts have shorter answers, a head trained on lists orders them so; all else stays."""
    monkeypatch.setattr(ranking, "STEPS", 150)
    monkeypatch.setattr(ranking, "RATE", 1e-2)
    monkeypatch.setattr(ranking, "DECAY", 0.0)
    shipped = replace(artefact.shipped(), rank=None)
    prompts = tuple("Explain each of these: " + "sea and land, " * count for count in range(1, 61))
    numbers = np.arange(60)
    pairs = Pairs(
        prompts,
        numbers,
        np.full(60, "s"),
        np.full(60, shipped.sides.names[0]),
        4 * numbers + 8,
        1 + 20 * numbers[::-1],
        np.zeros(60, np.int64),
    )
    made = ranking.with_rank_head(shipped, pairs, seed=1)
    requests = [pairs.features(row) for row in range(60)]
    truth = pairs.response_tokens.astype(float)

    def tau(of: Any) -> float:
        return kendall_tau(np.array([Ranker(of).score(request) for request in requests]), truth)

    assert tau(made) > 0.8
    assert tau(replace(made, rank=shipped.weights.last[:, :RANK])) < 0
    assert made.weights is shipped.weights
    assert made.sides is shipped.sides
    again = ranking.with_rank_head(shipped, pairs, seed=1)
    assert (again.rank == made.rank).all()


def test_pairs_of_strange_models_teach_no_ranks() -> None:
    """Pairs to models that the weights do not know are refused."""
    shipped = artefact.shipped()
    pairs = Pairs(("a",), np.zeros(1, int), *(np.array(["zzz"]),) * 2, *(np.ones(1, int),) * 3)
    with pytest.raises(ValueError, match="no model"):
        ranking.with_rank_head(shipped, pairs, seed=1)
