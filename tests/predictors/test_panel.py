"""The panel: the same simple forecasts as the controls make, honest records, nothing that looks ahead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from presage_predictors.controls import HoltWinters, LastValue, SeasonalLevel
from presage_predictors.panel import Panel
from presage_predictors.panel.experts import EXPERTS, Experts
from presage_predictors.panel.past import Past
from presage_predictors.panel.profile import NEWEST, Profile
from presage_predictors.panel.record import ASSUMED_SHARE, Record

WINDOW, SEASON = 600.0, 24
AHEAD = np.array([1, 2, 6])
Floats = NDArray[np.float64]


def wave(windows: int, seed: int = 0) -> Floats:
    """Return a noisy seasonal series."""
    t = np.arange(windows)
    noise = np.random.default_rng(seed).standard_normal(windows)
    return 100 + 60 * np.sin(2 * np.pi * t / SEASON) + 5 * noise


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(2, 9))
def test_the_past_is_remembered_as_far_as_it_was_asked_to(values: list[float], windows: int) -> None:
    """However many windows have come, the last ones are found and those before them are absent."""
    past = Past(1, windows)
    for value in values:
        past.append(np.array([value]))
    ago = np.arange(1, windows + 3)
    expected = [values[-k] if k <= min(windows, len(values)) else np.nan for k in ago]
    np.testing.assert_array_equal(past.back(ago)[0], expected)


@pytest.mark.parametrize(
    "control",
    [LastValue(), SeasonalLevel(SEASON * WINDOW), HoltWinters(SEASON * WINDOW)],
    ids=lambda c: c.name,
)
def test_experts_say_what_the_controls_say(control: LastValue | SeasonalLevel | HoltWinters) -> None:
    """Moved on window by window, an expert's forecast is the control's, made from the whole past at once."""
    values = wave(5 * SEASON)
    experts = Experts(1, SEASON, AHEAD)
    for origin, value in enumerate(values, start=1):
        experts.update(np.array([value]))
        if origin in (3 * SEASON, 4 * SEASON + 7, 5 * SEASON):
            said, _ = experts.forecast()
            path = control.paths(values[:origin], np.array([2 * SEASON, origin]), 6, WINDOW)[-1]
            assert said[0, EXPERTS.index(control.name)] == pytest.approx(path[AHEAD - 1], rel=1e-4)


def test_a_season_that_is_not_there_is_said_to_be_missing() -> None:
    """Before a season has passed, the seasonal experts say the last value and are flagged as absent."""
    experts = Experts(1, SEASON, AHEAD)
    for value in wave(SEASON - 8):
        experts.update(np.array([value]))
    said, there = experts.forecast()
    for name in ("SeasonalLevel", "SeasonalStep", "WeeklyLevel", "Profile", "ProfileStep"):
        assert not there[0, EXPERTS.index(name)].any()
        assert (said[0, EXPERTS.index(name)] == said[0, 0]).all()


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=1, max_size=40))
def test_the_usual_day_is_a_fading_mean_of_the_days(values: list[float | None]) -> None:
    """Each phase tells the mean of what it has had, the newest at least a fifth of it; a gap says nothing."""
    season = 4  # too short to have neighbours
    profile = Profile(1, season)
    for index, value in enumerate(values):
        profile.update(np.array([np.nan if value is None else value]), index % season)
    for phase in range(season):
        expected = float("nan")
        for seen, value in enumerate(had for had in values[phase::season] if had is not None):
            expected = value if seen == 0 else expected + max(1 / (seen + 1), NEWEST) * (value - expected)
        assert profile.at(np.array([phase]))[0, 0] == pytest.approx(expected, nan_ok=True, abs=1e-6)


def test_neighbours_share_their_noise() -> None:
    """A phase of a long season is told as the mean of itself and those next to it that were seen."""
    profile = Profile(1, 48)
    for phase in range(10):
        profile.update(np.array([float(phase)]), phase)
    assert profile.at(np.array([0, 5, 9, 10, 11, 30]))[0] == pytest.approx(
        [0.5, 5.0, 8.5, 9.0, np.nan, np.nan], nan_ok=True
    )


def test_the_usual_day_is_nearer_than_yesterday() -> None:
    """After five noisy days, the usual day at today's level is less far off than yesterday at it."""
    season = 48
    values = 100 + 60 * np.sin(2 * np.pi * np.arange(8 * season) / season)
    values += 20 * np.random.default_rng(1).standard_normal(len(values))
    experts, off = Experts(1, season, AHEAD), np.zeros(len(EXPERTS))
    for origin, value in enumerate(values[:-6], start=1):
        experts.update(np.array([value]))
        if origin >= 5 * season:
            off += np.abs(experts.forecast()[0][0, :, -1] - values[origin + 5])
    assert off[EXPERTS.index("Profile")] < 0.95 * off[EXPERTS.index("SeasonalLevel")]


def test_records_are_the_errors_that_were_made() -> None:
    """Each step is judged by what was said that many windows before, and a gap judges nobody."""
    ahead = np.array([1, 3])
    record = Record(1, 1, ahead)
    truth = [5.0, 9.0, float("nan"), 2.0, 4.0]
    errors: dict[int, list[float]] = {1: [], 3: []}
    for index, value in enumerate(truth):
        record.judge(np.array([value]))
        for steps in ahead:
            if index >= steps and np.isfinite(value):
                errors[int(steps)].append(abs(value - (index - steps) * 10.0))
        record.remember(np.full((1, 1, 2), index * 10.0))
    slow = record.errors(np.array([1.0]))[1, 0, 0]
    for column, steps in enumerate((1, 3)):
        keep = (1 - 1 / 96) ** np.arange(len(errors[steps]))[::-1]
        total = (keep * errors[steps]).sum() + 2 * ASSUMED_SHARE
        assert slow[column] == pytest.approx(total / (keep.sum() + 2))


def test_what_is_seen_has_no_unit() -> None:
    """Tokens a second or an hour: the network sees the same numbers."""
    values = wave(3 * SEASON)
    seen = []
    for factor in (1.0, 3600.0):
        panel = Panel(1, WINDOW, SEASON, AHEAD)
        views = [panel.update(np.array([v * factor]), (i + 1) * WINDOW) for i, v in enumerate(values)]
        seen.append(views[-1])
    np.testing.assert_allclose(seen[0].steps, seen[1].steps, atol=1e-4)
    np.testing.assert_allclose(seen[0].sequence, seen[1].sequence, atol=1e-4)


def test_a_day_may_last_minutes() -> None:
    """A day in which time runs 600 times faster looks the same to the network."""
    values = wave(3 * SEASON)
    seen = []
    for window in (WINDOW, 1.0):
        panel = Panel(1, window, SEASON, AHEAD)
        seen.append([panel.update(np.array([v]), (i + 1) * window) for i, v in enumerate(values)][-1])
    np.testing.assert_allclose(seen[0].steps, seen[1].steps, atol=1e-5)
    np.testing.assert_allclose(seen[0].sequence, seen[1].sequence, atol=1e-5)


def test_rows_do_not_see_each_other() -> None:
    """A series among others, even wild ones, is seen as it is alone."""
    values = wave(3 * SEASON)
    wild = np.where(
        np.arange(len(values)) % 5 == 0, np.nan, 1e9 * np.random.default_rng(1).random(len(values))
    )
    alone, among = Panel(1, WINDOW, SEASON, AHEAD), Panel(3, WINDOW, SEASON, AHEAD)
    for index, value in enumerate(values):
        one = alone.update(np.array([value]), index * WINDOW)
        three = among.update(np.array([wild[index], value, 0.0]), index * WINDOW)
    np.testing.assert_allclose(three.steps[1], one.steps[0])
    np.testing.assert_allclose(three.said[1], one.said[0])


def test_inputs_stay_finite_whatever_comes() -> None:
    """Gaps, zeros, infinities and negative rates leave the network's inputs finite."""
    panel = Panel(2, WINDOW, SEASON, AHEAD)
    for index in range(3 * SEASON):
        odd = [np.nan, 0.0, np.inf, -5.0, 1e12][index % 5]
        view = panel.update(np.array([odd, np.nan]), index * WINDOW)
        assert np.isfinite(view.sequence).all()
        assert np.isfinite(view.steps).all()
