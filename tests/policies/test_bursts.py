"""Bursts: what suffices all but the forgiven share of requests, and the replay that tells what they took."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.engine import RequestShape, replayed
from presage_policies.profiles import load_profile
from presage_policies.scaling.bursts import Bursts, fading

ENGINE = load_profile("rtx4090-llama-3.1-8b")
SHAPE = RequestShape(1000, 200, prompt_variation=0.0)


def test_what_the_percentile_forgives_is_not_kept() -> None:
    """Half a percent of requests in a burst are forgiven at 99 %, two percent are not."""
    rare = Bursts().seen(995.0, 2, 2, 1.0).seen(5.0, 9, 2, 1.0)
    often = Bursts().seen(980.0, 2, 2, 1.0).seen(20.0, 9, 2, 1.0)
    assert (rare.needed(2, 99.0), rare.recur(99.0)) == (2, False)
    assert (often.needed(2, 99.0), often.recur(99.0)) == (9, True)


def test_no_more_is_kept_than_bursts_took_in_all() -> None:
    """Seven beyond two are nine, and still nine when the rate itself needs five; ten are ten."""
    memory = Bursts().seen(100.0, 9, 2, 1.0)
    assert [memory.needed(base, 99.0) for base in (0, 2, 5, 10)] == [7, 9, 9, 10]


def test_bursts_fade() -> None:
    """After many memories of calm a burst is forgotten."""
    memory, left = Bursts().seen(100.0, 9, 2, 1.0), fading(600.0, 60.0, 99.0)
    for _ in range(60):
        memory = memory.seen(100.0, 2, 2, left)
    assert memory.needed(2, 99.0) == 2


def test_too_few_requests_tell_nothing() -> None:
    """A percentile of a handful of requests is none."""
    assert Bursts().seen(5.0, 9, 2, 1.0).needed(2, 99.0) == 2


@given(st.lists(st.integers(0, 60), min_size=5, max_size=40), st.integers(1, 6))
def test_more_instances_never_make_a_replay_wait_longer(counts: list[int], replicas: int) -> None:
    """Whatever came, one instance more makes nobody wait longer."""
    arrivals = np.array(counts, dtype=float)
    fewer = replayed(ENGINE, replicas, arrivals, 1.0, len(counts), SHAPE)
    more = replayed(ENGINE, replicas + 1, arrivals, 1.0, len(counts), SHAPE)
    assert more.wait_seconds <= fewer.wait_seconds + 1e-6


def test_only_the_judged_bins_count() -> None:
    """A burst long ago spoils the bins in which it queued, and not the calm after it."""
    arrivals = np.array([200.0] + [0.0] * 300)
    assert replayed(ENGINE, 1, arrivals, 1.0, 301, SHAPE).wait_seconds > 1.0
    assert replayed(ENGINE, 1, arrivals, 1.0, 5, SHAPE).wait_seconds == pytest.approx(0.0)
