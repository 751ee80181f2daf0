"""The arrival rate: a step is seen within seconds, chance is not taken for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.scaling import ArrivalSignal
from presage_policies.scaling.arrival_rate import arrival_rate, dispersion_of, variation_of


def signal(counts: np.ndarray, bin_seconds: float = 1.0) -> ArrivalSignal:
    """Return arrivals of 1,000 + 200 tokens each."""
    counts = np.asarray(counts, dtype=float)
    return ArrivalSignal(bin_seconds, counts, 1000 * counts, 200 * counts)


@pytest.mark.parametrize("rate", [1.0, 4.0, 20.0])
def test_noise_is_not_a_step(rate: float) -> None:
    """At a constant Poisson rate, fewer than 3 % of looks see a change, and the mean is right."""
    counts = np.random.default_rng(1).poisson(rate, 4000)
    looks = [arrival_rate(signal(counts[t - 120 : t])) for t in range(120, 4000, 10)]
    assert np.mean([look.before is not None for look in looks]) < 0.03
    assert np.mean([look.rate for look in looks]) == pytest.approx(rate, rel=0.05)


@pytest.mark.parametrize(("before", "after", "seconds"), [(2, 4, 20), (4, 8, 15), (10, 4, 10), (5, 50, 5)])
def test_a_step_is_seen_within_seconds(before: float, after: float, seconds: int) -> None:
    """Most Poisson steps move the rate past the middle within the stated seconds."""
    rng, middle, seen = np.random.default_rng(2), (before + after) / 2, 0
    for _ in range(100):
        counts = np.concatenate([rng.poisson(before, 120 - seconds), rng.poisson(after, seconds)])
        seen += (arrival_rate(signal(counts)).rate > middle) == (after > before)
    assert seen >= 75


def test_evenly_spaced_arrivals_are_believed_sooner() -> None:
    """The steadier arrivals have been, the less chance explains: 4 to 6 a second shows within 10 s."""
    counts = np.concatenate([np.full(110, 4.0), np.full(10, 6.0)])
    assert arrival_rate(signal(counts), dispersion=0.0).rate == pytest.approx(6.0)
    assert arrival_rate(signal(counts), dispersion=1.0).rate == pytest.approx(counts.mean())


def test_the_last_of_several_changes_counts() -> None:
    """Up and down again within two minutes: the rate is that since the fall, and it says that it fell."""
    counts = np.concatenate([np.full(50, 4.0), np.full(40, 16.0), np.full(30, 2.0)])
    look = arrival_rate(signal(counts))
    assert (look.rate, look.seconds) == (pytest.approx(2.0), 30.0)
    assert look.fell_by > 0


@given(st.lists(st.integers(0, 50), max_size=130), st.sampled_from([0.5, 1.0, 5.0]))
def test_the_rate_lies_within_what_was_seen(counts: list[int], bin_seconds: float) -> None:
    """The rate is a mean of bins, so never outside their range; without bins it is zero."""
    look = arrival_rate(signal(np.array(counts), bin_seconds))
    low, high = (min(counts, default=0) / bin_seconds, max(counts, default=0) / bin_seconds)
    assert low - 1e-9 <= look.rate <= high + 1e-9


def test_dispersion_tells_even_from_random() -> None:
    """Zero for a metronome, about one for Poisson, more for bursts; unknown below two groups."""
    rng = np.random.default_rng(3)
    poisson = [dispersion_of(signal(rng.poisson(5, 120))) for _ in range(200)]
    bursts = [dispersion_of(signal(rng.poisson(5 * rng.gamma(0.1, 10.0, 120)))) for _ in range(200)]
    assert dispersion_of(signal(np.full(120, 5.0))) == pytest.approx(0.0)
    assert np.mean([d for d in poisson if d is not None]) == pytest.approx(1.0, abs=0.3)
    assert np.mean([d for d in bursts if d is not None]) > 3
    assert dispersion_of(signal(np.ones(15))) is None


def test_variation_of_lengths_from_totals() -> None:
    """Totals by bin tell how much single requests vary: none for equal ones, about one for exponential."""
    rng = np.random.default_rng(4)
    requests = rng.poisson(6, 3000).astype(float)
    drawn = np.array([rng.exponential(1000, int(n)).sum() for n in requests])
    assert variation_of(1000 * requests, requests) == pytest.approx(0.0, abs=1e-9)
    assert variation_of(drawn, requests) == pytest.approx(1.0, abs=0.1)
    assert variation_of(np.zeros(5), np.zeros(5)) is None


def test_signals_are_checked() -> None:
    """Bins of no length and columns of different lengths are refused."""
    with pytest.raises(ValueError, match="bin_seconds"):
        signal(np.ones(3), 0.0)
    with pytest.raises(ValueError, match="one total a bin"):
        ArrivalSignal(1.0, np.ones(3), np.ones(2), np.ones(3))
