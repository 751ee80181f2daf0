"""Lengths from history: right for the client, honest for strangers, bounded for everyone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.lengths import PRIOR, RequestFeatures
from presage_predictors.history import (
    MOST_CAPS,
    MOST_SERIES,
    SAMPLES,
    STALENESS,
    HistoryLengthPredictor,
    RecentLengths,
)
from presage_predictors.prior import PriorLengthPredictor


def request(client: str = "a", max_tokens: int | None = None) -> RequestFeatures:
    """Return a request of which only the client and the cap matter."""
    return RequestFeatures(client, "m", 100, max_tokens)


def test_the_prior_learns_nothing() -> None:
    """Whatever was observed, the same is predicted, cut at max_tokens."""
    predictor = PriorLengthPredictor()
    for _ in range(50):
        predictor.observe(request(), 3)
    assert predictor.predict(request()) == PRIOR
    assert predictor.predict(request(max_tokens=100)) == PRIOR.capped(100)


def test_without_history_the_prior_serves() -> None:
    """Before any response the prior is predicted, cut at max_tokens."""
    predictor = HistoryLengthPredictor()
    assert predictor.predict(request()) == PRIOR
    assert max(predictor.predict(request(max_tokens=50)).tokens) == 50


def test_clients_are_told_apart() -> None:
    """Two clients with different lengths get each their own, a stranger something between."""
    predictor = HistoryLengthPredictor()
    for _ in range(200):
        predictor.observe(request("short"), 20)
        predictor.observe(request("long"), 900)
    assert predictor.predict(request("short")).quantile(0.9) < 100
    assert predictor.predict(request("long")).median > 800
    assert 20 < predictor.predict(request("stranger")).mean < 900


def test_recent_responses_count() -> None:
    """A client that changes its ways is predicted by the new ones."""
    predictor = HistoryLengthPredictor()
    for tokens in [50] * SAMPLES + [500] * SAMPLES:
        predictor.observe(request(), tokens)
    assert predictor.predict(request()).median == pytest.approx(500, rel=0.05)


def test_coverage_is_honest() -> None:
    """Of lognormal lengths, a share of responses near each level lies below that predicted quantile."""
    rng = np.random.default_rng(3)
    predictor = HistoryLengthPredictor()
    below = dict.fromkeys((0.5, 0.9), 0)
    for number in range(1200):
        tokens = max(1, int(rng.lognormal(5.0, 0.8)))
        if number >= 200:
            length = predictor.predict(request())
            for level in below:
                below[level] += tokens <= length.quantile(level)
        predictor.observe(request(), tokens)
    for level, count in below.items():
        assert count / 1000 == pytest.approx(level, abs=0.04)


def test_memory_is_bounded() -> None:
    """However many clients and sessions come, no more series than the limit are kept, and the newest are."""
    predictor = HistoryLengthPredictor()
    for number in range(MOST_SERIES + 10):
        each = replace(request(str(number)), session=str(number))
        predictor.observe(each, 7)
        predictor.observe(each, 900)
    assert len(predictor._special) == MOST_SERIES
    assert "0" not in {name for key in predictor._special for name in key}
    assert str(MOST_SERIES + 9) in {name for key in predictor._special for name in key}


@pytest.mark.parametrize(
    "other",
    [
        {"model": "n"},
        {"max_tokens": 5000},
        {"tools": True},
        {"response_format": "json_object"},
        {"temperature": 0.0},
        {"session": "s"},
    ],
)
def test_like_requests_are_predicted_by_their_like(other: dict[str, Any]) -> None:
    """Of one client, requests that differ in model, size of cap, manner or session get each their own."""
    predictor = HistoryLengthPredictor()
    odd = replace(request(), **other)
    for _ in range(100):
        predictor.observe(request(), 40)
        predictor.observe(odd, 900)
    assert predictor.predict(odd).median > 700
    assert predictor.predict(replace(odd, session="new")).quantile(0.75) > 600
    if "session" not in other:
        assert predictor.predict(request()).median < 100


def test_a_new_session_is_predicted_by_its_client() -> None:
    """A session begins where its client stands, and after a few responses has its own ways."""
    predictor = HistoryLengthPredictor()
    for number in range(100):
        predictor.observe(replace(request(), session=str(number % 20)), 100)
    fresh = replace(request(), session="fresh")
    assert predictor.predict(fresh) == predictor.predict(request())
    for _ in range(20):
        predictor.observe(fresh, 800)
    assert predictor.predict(fresh).median > 500
    assert predictor.predict(request()).median == pytest.approx(100, rel=0.1)


def test_context_cuts_what_is_predicted() -> None:
    """Where the engine's context leaves less than the request's cap, the prediction ends there."""
    within = replace(request(max_tokens=4000), context_tokens=400)  # of a prompt of 100 tokens
    assert max(HistoryLengthPredictor().predict(within).tokens) == 300


def test_empty_responses_say_nothing() -> None:
    """A response without a token (cancelled, failed) does not count as a short one."""
    predictor = HistoryLengthPredictor()
    predictor.observe(request(), 0)
    assert predictor.predict(request()) == PRIOR


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(0, 400), st.sampled_from(["a", "b", "stranger"]))
def test_a_prediction_is_that_of_a_moment_ago(seed: int, count: int, client: str) -> None:
    """However often it was asked, it predicts what one never asked before would have, a few answers ago."""
    rng = np.random.default_rng(seed)
    answers = [("ab"[rng.integers(2)], int(rng.integers(1, 900))) for _ in range(count)]
    kept = HistoryLengthPredictor()
    for of, tokens in answers:
        kept.observe(request(of), tokens)
        if rng.random() < 0.5:
            kept.predict(request(client))
    recent = []
    for missing in range(int(STALENESS * count) + 1):
        fresh = HistoryLengthPredictor()
        for of, tokens in answers[: count - missing]:
            fresh.observe(request(of), tokens)
        recent.append(fresh.predict(request(client)))
    assert kept.predict(request(client)) in recent


def test_a_young_client_is_predicted_by_all_that_it_had() -> None:
    """While a client has fewer than 50 responses, each one counts in the very next prediction."""
    predictor = HistoryLengthPredictor()
    former = predictor.predict(request()).mean
    for _ in range(49):
        predictor.observe(request(), 1500)
        latest = predictor.predict(request()).mean
        assert latest > former
        former = latest


def test_a_kept_prediction_is_cut_for_each_request() -> None:
    """One client's requests differ in max_tokens, more values than are kept: each is cut at its own."""
    predictor = HistoryLengthPredictor()
    for cap in [*range(20, 20 + 2 * MOST_CAPS), 25, None, 5]:
        assert predictor.predict(request(max_tokens=cap)) == PRIOR.capped(cap)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.floats(0, 1))
def test_recent_quantiles_are_those_of_the_last_samples(values: list[int], level: float) -> None:
    """The window's quantile is numpy's quantile of the last samples."""
    recent = RecentLengths(30)
    for value in values:
        recent.add(float(value))
    assert len(recent) == min(30, len(values))
    assert recent.quantiles((level, 0.5)) == pytest.approx(np.quantile(values[-30:], [level, 0.5]))
