"""Backtests: what would have been said, scored as anyone would by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray
from presage_policies.forecasting import TokenSeries
from presage_predictors.auto.forecaster import Auto
from presage_predictors.backtest.conformal import ConformalLastValue
from presage_predictors.backtest.controls import RollingControl
from presage_predictors.backtest.models import RollingAuto, RollingNetwork
from presage_predictors.backtest.scores import Task, score, with_skill
from presage_predictors.backtest.worth import judged
from presage_predictors.controls import HoltWinters, LastValue, SeasonalLevel
from presage_predictors.controls.statistical import LEVELS
from presage_predictors.mlstm.artefact import shipped
from presage_predictors.mlstm.network import Network

WINDOW, DAY = 600.0, 24
SEASON = DAY * WINDOW
NETWORK = shipped().network()
Floats = NDArray[np.float64]


def noisy(windows: int) -> Floats:
    """Return a noisy wave with two gaps."""
    rng = np.random.default_rng(2)
    values = 50 + 30 * np.sin(2 * np.pi * np.arange(windows) / DAY) + 4 * rng.standard_normal(windows)
    values[40:43] = np.nan
    return values


@pytest.mark.parametrize(
    "control", [LastValue(), SeasonalLevel(SEASON), HoltWinters(SEASON)], ids=lambda c: c.name
)
def test_one_pass_says_what_each_origin_said(control: LastValue | SeasonalLevel | HoltWinters) -> None:
    """A control over all origins states the quantiles that it states when asked at each of them."""
    values, ahead = noisy(5 * DAY), np.array([1, 2, 3])
    first = 4 * DAY
    stated = RollingControl(control).stated(values, WINDOW, ahead, first)
    spread = [level for level in range(len(LEVELS)) if LEVELS[level] != 0.5]
    for origin in (first, first + 7, len(values)):
        past = TokenSeries(WINDOW, origin * WINDOW, values[:origin], values[:origin])
        asked = control.forecast(past, 3, past.end)
        assert asked is not None
        np.testing.assert_allclose(stated[origin - first][spread], asked.prompt[spread], rtol=1e-6)


def test_the_backtest_judges_what_serves() -> None:
    """Auto in a backtest states what Auto states to an operator who has lived through the same windows."""
    values = noisy(5 * DAY)
    first = 4 * DAY
    stated = RollingAuto(NETWORK, SEASON).stated(values, WINDOW, np.array([1, 5]), first)
    for origin in (first, len(values)):
        past = TokenSeries(WINDOW, origin * WINDOW, values[:origin], values[:origin])
        asked = Auto(lambda: NETWORK, SEASON).forecast(past, 5, past.end)
        assert asked is not None
        np.testing.assert_allclose(stated[origin - first], asked.prompt[:, [0, 4]], rtol=1e-6)


@pytest.mark.parametrize(
    "model",
    [RollingAuto(NETWORK, SEASON), RollingNetwork(NETWORK, SEASON), ConformalLastValue()],
    ids=lambda m: m.name,
)
def test_the_past_alone_decides(model: RollingAuto | RollingNetwork | ConformalLastValue) -> None:
    """What came after an origin changes nothing that was stated there."""
    values = noisy(4 * DAY)
    other = values.copy()
    other[3 * DAY :] = 1e6
    ahead = np.array([1, 3])
    one, two = (model.stated(v, WINDOW, ahead, 2 * DAY)[: DAY + 1] for v in (values, other))
    np.testing.assert_array_equal(one, two)


def test_scores_are_those_of_a_hand_count() -> None:
    """MAPE, WAPE, RMSE, pinball and coverage of a small case, with an absent window left out."""
    actual = np.array([10.0, 20.0, 40.0, np.nan, 10.0, 20.0, 40.0, 0.0, 10.0, 20.0])
    values = np.concatenate([[1.0, 1.0], actual])
    task = Task("s", "c", WINDOW, values, 2, np.array([1]))
    stated = np.tile(np.linspace(10, 24, len(LEVELS))[None, :, None], (11, 1, 1))
    stated[:, LEVELS.index(0.5)] = 15.0
    stated[:, LEVELS.index(0.9)] = 30.0
    (row,) = score(task, "m", stated)
    known = actual[np.isfinite(actual)]
    mean = known.mean()
    assert row.windows == 9
    assert row.wape == pytest.approx(np.abs(known - 15).sum() / known.sum())
    assert row.mape == pytest.approx(
        np.abs(known[known > 0] / known[known > 0] - 15 / known[known > 0]).mean()
    )
    assert row.rmse_over_mean == pytest.approx(np.sqrt(((known - 15) ** 2).mean()) / mean)
    assert row.coverage90 == pytest.approx(7 / 9)
    over = np.where(known > 30, 0.9 * (known - 30), 0.1 * (30 - known))
    assert row.pinball == pytest.approx(over.mean() / mean)


def test_skill_is_against_the_best_control() -> None:
    """A model that halves the best control's WAPE has skill 0.5, that control 0, a worse one less."""
    values = np.full(20, 10.0)
    task = Task("s", "c", WINDOW, values, 5, np.array([1]))
    said = {"LastValue": 12.0, "HoltWinters": 14.0, "Auto": 11.0}
    scores = []
    for name, rate in said.items():
        scores += score(task, name, np.full((16, len(LEVELS), 1), rate))
    skills = {one.model: one.skill_vs_best_control for one in with_skill(scores)}
    assert skills == {
        "LastValue": pytest.approx(0.0),
        "HoltWinters": pytest.approx(-1.0),
        "Auto": pytest.approx(0.5),
    }


def test_too_few_windows_have_no_row() -> None:
    """A horizon that leaves fewer than eight windows is left out, and so is a model that is silent."""
    task = Task("s", "c", WINDOW, np.ones(20), 10, np.array([1, 5]))
    assert [one.horizon for one in score(task, "m", np.ones((11, len(LEVELS), 2)))] == [1]
    assert score(task, "m", np.full((11, len(LEVELS), 2), np.nan)) == []


def test_worse_weights_are_found_out() -> None:
    """A network that is spoilt is judged worse than the shipped one, and no worse than itself."""
    spoilt = [{name: array * 3.0 for name, array in member.items()} for member in shipped().members]
    tasks = [Task("s", "c", WINDOW, noisy(6 * DAY), 4 * DAY, np.array([1, 3]))]
    assert judged(NETWORK, NETWORK, tasks, SEASON).better
    verdict = judged(Network(spoilt), NETWORK, tasks, SEASON)
    assert not verdict.better
    assert "worse" in str(verdict)
    assert not judged(NETWORK, NETWORK, [], SEASON).better
