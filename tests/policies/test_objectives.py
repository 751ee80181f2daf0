"""Objectives: what counts as met, and what cannot be asked for."""

import pytest
from presage_policies.objectives import Objectives


def test_both_latencies_must_hold() -> None:
    """A request meets its objectives only when TTFT and TPOT do; a one-token answer has no TPOT."""
    objectives = Objectives(1.0, 0.05)
    assert objectives.met_by(1.0, 0.05)
    assert not objectives.met_by(1.1, 0.05)
    assert not objectives.met_by(1.0, 0.06)
    assert objectives.met_by(1.0, None)


@pytest.mark.parametrize(
    ("ttft", "tpot", "percentile", "named"),
    [(0, 1, 99, "ttft_seconds"), (1, -1, 99, "tpot_seconds"), (1, 1, 100, "percentile")],
)
def test_errors_name_the_field(ttft: float, tpot: float, percentile: float, named: str) -> None:
    """Objectives that nothing could meet are refused with the field's name."""
    with pytest.raises(ValueError, match=named):
        Objectives(ttft, tpot, percentile)
