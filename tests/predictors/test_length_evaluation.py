"""The figures that predictors are judged by are those of the textbooks."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.lengths import WIRE_LEVELS
from presage_predictors.lengths.evaluation import MEDIAN, Predicted, figures, kendall_tau, spearman
from presage_predictors.lengths.trial import split_by_group

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=40)


@settings(max_examples=60)
@given(pairs)
def test_kendall_is_counted_pair_by_pair(points: list[tuple[int, int]]) -> None:
    """The fast τ-b equals the one counted over all pairs, ties on either side and on both included."""
    first, second = (np.array(side, float) for side in zip(*points, strict=True))
    agreed = ties_first = ties_second = 0
    for (a, b), (c, d) in combinations(points, 2):
        agreed += np.sign(a - c) * np.sign(b - d)
        ties_first += a == c
        ties_second += b == d
    count = len(points) * (len(points) - 1) / 2
    scale = np.sqrt((count - ties_first) * (count - ties_second))
    found = kendall_tau(first, second)
    if scale == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(agreed / scale)


def test_ranks_follow_order_not_size() -> None:
    """Any rising function of a list has correlation 1 with it, a falling one -1."""
    values = np.random.default_rng(1).normal(size=50)
    assert spearman(values, np.exp(values)) == pytest.approx(1)
    assert kendall_tau(values, -(values**3)) == pytest.approx(-1)


def test_figures_of_known_quantiles() -> None:
    """Lengths drawn from the stated law are covered as stated; the errors are those of the median."""
    rng = np.random.default_rng(2)
    truth = np.maximum(1, rng.lognormal(5, 0.5, 4000))
    law = np.quantile(rng.lognormal(5, 0.5, 200_000), WIRE_LEVELS)
    found = figures(Predicted(np.tile(law, (len(truth), 1)), truth))
    assert found["coverage90"] == pytest.approx(0.9, abs=0.02)
    assert found["mae"] == pytest.approx(np.abs(truth - law[MEDIAN]).mean())
    assert found["width90"] == pytest.approx(law[6] - law[0])
    assert found["within25"] == pytest.approx((np.abs(truth - law[MEDIAN]) <= truth / 4).mean())


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(0, 5), st.booleans())
def test_a_trial_observes_so_many_of_each_group(groups: list[str], observe: int, mixed: bool) -> None:
    """Each group gives as many requests as asked or all it has; no row is both observed and scored."""
    trial = split_by_group(np.array(groups), observe, mixed=mixed, seed=1)
    assert sorted([*trial.observed, *trial.scored]) == list(range(len(groups)))
    for group in set(groups):
        observed = [row for row in trial.observed if groups[row] == group]
        assert len(observed) == min(observe, groups.count(group))
        if not mixed:
            assert observed == [row for row, name in enumerate(groups) if name == group][:observe]
