"""Laws, beliefs and calibration: the arithmetic that makes quantiles and keeps them true."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.lengths import WIRE_LEVELS
from presage_predictors.lengths.beliefs import MOST_KEPT, Belief, Beliefs, learn
from presage_predictors.lengths.calibration import Calibration
from presage_predictors.lengths.law import (
    BASE,
    MEDIAN,
    RANK,
    READING,
    SCORES,
    SIDE,
    at_scores,
    log_quantiles,
    score_of,
)

numbers = st.floats(-3, 3)


@given(
    st.lists(numbers, min_size=READING, max_size=READING),
    st.lists(numbers, min_size=SIDE, max_size=SIDE),
    st.floats(0, 2),
)
def test_quantiles_never_cross(reading: list[float], side: list[float], widening: float) -> None:
    """Whatever a network says, quantiles rise with their level, and more doubt never narrows them."""
    certain = log_quantiles(np.array(reading), np.array(side))
    doubtful = log_quantiles(np.array(reading), np.array(side), widening)
    assert (np.diff(certain) >= 0).all()
    assert doubtful[-1] - doubtful[0] >= certain[-1] - certain[0] - 1e-9 or doubtful[-1] == 13.0
    assert doubtful[MEDIAN] == pytest.approx(certain[MEDIAN])


def test_an_undisturbed_law_is_lognormal() -> None:
    """With zeros for a reading and a vector the log tokens are normal about BASE."""
    law = log_quantiles(np.zeros(READING), np.zeros(SIDE))
    assert law[MEDIAN] == BASE
    assert (law - BASE) / (law[-1] - BASE) == pytest.approx(SCORES / SCORES[-1])


@given(st.floats(-2, 12))
def test_a_score_leads_back(log_tokens: float) -> None:
    """Reading a law at the score of a length gives that length, beyond the outermost quantiles too."""
    law = log_quantiles(np.zeros(READING), np.zeros(SIDE))
    assert at_scores(law, np.array([score_of(log_tokens, law)]))[0] == pytest.approx(log_tokens, abs=1e-9)


def test_beliefs_are_bayesian_regression() -> None:
    """One belief updated request by request is the posterior of ridge regression in closed form."""
    rng = np.random.default_rng(5)
    prior, noise = 0.4 * np.eye(RANK), 0.3
    belief = Belief(np.zeros(RANK), prior.copy())
    designs, targets = rng.normal(size=(30, RANK)), 0.3 * rng.normal(size=30)
    for x, target in zip(designs, targets, strict=True):
        learn((belief,), x, float(target - x @ belief.mean), noise)
    precision = np.linalg.inv(prior) + designs.T @ designs / noise
    assert belief.covariance == pytest.approx(np.linalg.inv(precision), abs=1e-9)
    assert belief.mean == pytest.approx(np.linalg.solve(precision, designs.T @ targets / noise), abs=1e-9)


def test_one_odd_response_does_not_carry_a_model_away() -> None:
    """A surprise of a thousand deviations moves a belief no further than one of a few does."""
    x = np.eye(RANK)[0]
    moved = []
    for surprise in (3.0, 1000.0):
        belief = Belief(np.zeros(RANK), np.eye(RANK))
        learn((belief,), x, surprise, 0.1)
        moved.append(belief.mean[0])
    assert moved[0] == pytest.approx(moved[1])


def test_beliefs_are_bounded() -> None:
    """However many names come, no more than the limit is remembered."""
    beliefs = Beliefs()
    prior = Belief(np.zeros(RANK), np.eye(RANK))
    for number in range(MOST_KEPT + 5):
        beliefs.to_learn(str(number), prior)
    assert len(beliefs) == MOST_KEPT
    assert beliefs.under("0", prior) is prior
    assert (prior.covariance == np.eye(RANK)).all()


@settings(max_examples=10)
@given(st.floats(0.6, 1.7), st.integers(0, 1000))
def test_calibration_makes_false_laws_true(stretch: float, seed: int) -> None:
    """Laws that are too wide or too narrow by a factor cover what they say after some hundred requests."""
    rng = np.random.default_rng(seed)
    calibration = Calibration()
    scores = stretch * rng.normal(size=2400)
    inside = 0
    for number, score in enumerate(scores):
        if number >= 400:
            made = calibration.scores(("k",))
            inside += made[0] <= score <= made[WIRE_LEVELS.index(0.95)]
        calibration.observe(("k",), float(score))
    assert inside / 2000 == pytest.approx(0.9, abs=0.05)


def test_a_key_without_history_is_read_as_training_said() -> None:
    """Until a key's first response its laws are read at the prior's scores."""
    prior = SCORES * 1.2
    assert (Calibration(prior).scores(("new", "newer")) == prior).all()
    assert math.isclose(prior[MEDIAN], 0.0, abs_tol=1e-12)
