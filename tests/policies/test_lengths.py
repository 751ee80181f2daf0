"""Length distributions: quantiles behave as quantiles whatever is done to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.lengths import WIRE_LEVELS, LengthDistribution

samples = st.lists(st.integers(1, 8000), min_size=1, max_size=60)


@given(samples, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise(values: list[int], p: float, q: float) -> None:
    """A higher level never has fewer tokens, and every quantile lies within the samples."""
    length = LengthDistribution.from_samples(values)
    low, high = sorted((p, q))
    assert length.quantile(low) <= length.quantile(high)
    assert min(values) <= length.quantile(p) <= max(values)
    assert min(values) - 1e-9 <= length.mean <= max(values) + 1e-9


@given(samples, st.integers(1, 9000))
def test_cap_holds(values: list[int], cap: int) -> None:
    """No quantile of a capped distribution exceeds max_tokens, and none grows."""
    length = LengthDistribution.from_samples(values)
    capped = length.capped(cap)
    assert all(t <= max(1, cap) for t in capped.tokens)
    assert all(c <= t for c, t in zip(capped.tokens, length.tokens, strict=True))
    assert length.capped(None) is length


@given(samples, st.integers(0, 9000))
def test_conditioning_looks_beyond_what_came(values: list[int], generated: int) -> None:
    """Given that more than `generated` tokens come, every quantile of the total exceeds them."""
    length = LengthDistribution.from_samples(values).beyond(generated)
    assert min(length.tokens) > generated


def test_conditioning_keeps_the_tail() -> None:
    """Of lengths spread evenly to 100, what remains beyond 50 is spread evenly from 50 to 100."""
    length = LengthDistribution.from_samples(range(1, 101), tuple(i / 100 for i in range(1, 100)))
    assert length.beyond(50).median == pytest.approx(75, abs=1)


def test_outliving_every_quantile_extends() -> None:
    """A response beyond its last quantile is expected to grow by another fifth."""
    assert LengthDistribution.constant(100).beyond(100).mean == 121


@given(samples, st.floats(0.01, 0.99))
def test_share_within_inverts_the_quantile(values: list[int], p: float) -> None:
    """At least a share p of responses end within the p-quantile."""
    length = LengthDistribution.from_samples(values)
    if WIRE_LEVELS[0] <= p <= WIRE_LEVELS[-1]:
        assert length.probability_within(length.quantile(p)) >= p - 1e-6


@given(samples)
def test_the_wire_keeps_quantiles(values: list[int]) -> None:
    """What travels between sidecars is the same distribution to a tenth of a token."""
    length = LengthDistribution.from_samples(values)
    back = LengthDistribution.from_wire(length.as_wire())
    for level in WIRE_LEVELS:
        assert back.quantile(level) == pytest.approx(length.quantile(level), abs=0.051)


@pytest.mark.parametrize(
    ("levels", "tokens", "named"),
    [
        ((), (), "at least one"),
        ((0.5,), (1.0, 2.0), "equally many"),
        ((0.5, 0.4), (1.0, 2.0), "rise"),
        ((0.0,), (1.0,), "within 0 and 1"),
        ((0.5,), (0.0,), "at least 1 token"),
        ((0.5,), (float("nan"),), "finite"),
        ((0.4, 0.5), (2.0, 1.0), "not fall"),
        ((0.4, 0.5, 0.6), (2.0, float("nan"), 3.0), "finite"),
        (WIRE_LEVELS, (1.0,) * 7 + (float("inf"),), "finite"),
        (WIRE_LEVELS, (0.5,) + (1.0,) * 7, "at least 1 token"),
    ],
)
def test_nonsense_is_refused(levels: tuple[float, ...], tokens: tuple[float, ...], named: str) -> None:
    """A distribution that is none is refused with what is wrong with it."""
    with pytest.raises(ValueError, match=named):
        LengthDistribution(levels, tokens)
    with pytest.raises(ValueError, match="quantiles on the wire"):
        LengthDistribution.from_wire([1.0])
