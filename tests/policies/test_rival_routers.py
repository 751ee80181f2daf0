"""The routers that Presage is measured against decide as their sources say: cases reckoned by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.routing import RIVALS, Bid, PickState


def bid(
    *,
    requests: int = 1,
    waiting: int = 0,
    kv: float = 0.0,
    waiting_kv: float = 0.0,
    cached: int = 0,
    room: bool = True,
) -> Bid:
    """Return a bid of which only the named figures matter."""
    return Bid(1.0, 0.1, 0.02, 0.0, room, requests, 0.0, cached, waiting, kv, waiting_kv)


def chosen(policy: str, **bids: Bid) -> str:
    """Return whose bid the policy takes."""
    return RIVALS[policy](3).choose(bids, PickState())


@pytest.mark.parametrize("policy", sorted(RIVALS))
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 9), st.floats(0, 1)),
        min_size=1,
        max_size=6,
    )
)
def test_room_comes_first(policy: str, bids: list[tuple[bool, int, int, float]]) -> None:
    """Whoever has room is chosen before anyone without, by every rival."""
    made = {str(i): bid(room=room, requests=n, waiting=w, kv=kv) for i, (room, n, w, kv) in enumerate(bids)}
    winner = made[chosen(policy, **made)]
    assert winner.room or not any(one.room for one in made.values())


def test_power_of_two_asks_two() -> None:
    """Two of three are asked however many bids are allowed, every pair about as often."""
    rng = np.random.default_rng(0)
    pick = RIVALS["PowerOfTwo"](3)
    asked = Counter(frozenset(pick.sample(["a", "b", "c"], "a", "b", rng)) for _ in range(900))
    assert set(asked) == {frozenset("ab"), frozenset("ac"), frozenset("bc")}
    assert all(240 < times < 360 for times in asked.values())  # 300 expected, four standard deviations
    assert pick.sample(["a"], None, None, rng) == ["a"]


def test_power_of_two_takes_the_fewer_requests() -> None:
    """Of 3 and 2 requests the 2 win, whatever KV is taken, and of equal ones the first that was asked."""
    assert chosen("PowerOfTwo", a=bid(requests=3), b=bid(requests=2, kv=0.9)) == "b"
    assert chosen("PowerOfTwo", b=bid(requests=2), a=bid(requests=2)) == "b"


def test_weighted_score_sums_queue_kv_and_prefix() -> None:
    """Scores of 4.00, 3.80 and 4.45 of 7: the one that is best at nothing wins."""
    winner = chosen(
        "WeightedScore",
        idle=bid(waiting=0, kv=0.5),  # 3 * 1 + 2 * 0.5
        hit=bid(waiting=4, kv=0.1, cached=800),  # 3 * 0 + 2 * 0.9 + 2 * 1
        middle=bid(waiting=1, kv=0.4, cached=400),  # 3 * 0.75 + 2 * 0.6 + 2 * 0.5
    )
    assert winner == "middle"


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        (bid(waiting=5), bid(waiting=0, kv=1.0), "b"),  # 2 against 3
        (bid(waiting=5, cached=64), bid(waiting=0, kv=0.49), "b"),  # 2 + 2 against 3 + 1.02
        (bid(waiting=5, cached=64), bid(waiting=0, kv=0.51), "a"),  # 2 + 2 against 3 + 0.98
        (bid(kv=0.49), bid(kv=0.5, cached=1), "b"),  # 3 + 1.02 against 3 + 1 + 2: equal queues score alike
        (bid(kv=1.0, cached=64), bid(kv=0.0), "a"),  # 3 + 2 against 3 + 2: the first of equals
        (bid(kv=1.0, cached=64), bid(kv=0.0, cached=1), "b"),  # 3 + 2 against 3 + 2 + 2 / 64
    ],
)
def test_weighted_score_weighs_three_to_two_to_two(first: Bid, second: Bid, winner: str) -> None:
    """Queue, free KV and prefix tip the balance within two per cent of where 3:2:2 has it."""
    assert chosen("WeightedScore", a=first, b=second) == winner


def test_llumnix_divides_free_kv_by_requests() -> None:
    """Freeness of 0.20, 0.25 and 0.10: neither the most free KV nor the fewest requests alone decide."""
    winner = chosen(
        "Llumnix",
        emptiest=bid(kv=0.2, requests=4),  # 0.8 / 4
        freest=bid(kv=0.5, requests=2),  # 0.5 / 2
        queued=bid(kv=0.1, waiting_kv=0.8, requests=1),  # (0.9 - 0.8) / 1
    )
    assert winner == "freest"


def test_llumnix_counts_what_waits() -> None:
    """Waiting requests' blocks are taken off: 0.3 free beat 0.9 free of which 0.7 are asked for."""
    free, asked_for = bid(kv=0.7), bid(kv=0.1, waiting_kv=0.7)
    assert chosen("Llumnix", asked_for=asked_for, free=free) == "free"
    assert chosen("Llumnix", asked_for=bid(kv=0.1), free=free) == "asked_for"


def test_llumnix_prefers_an_idle_instance() -> None:
    """Without requests an instance is freest of all, even with KV left in its cache."""
    assert chosen("Llumnix", light=bid(kv=0.01, requests=1), idle=bid(kv=0.6, requests=0)) == "idle"


@pytest.mark.parametrize("policy", ["WeightedScore", "Llumnix"])
def test_global_schedulers_ask_everybody(policy: str) -> None:
    """Both see all instances, however few bids are allowed, and begin at a random one."""
    rng, peers = np.random.default_rng(0), ["a", "b", "c", "d"]
    samples = [RIVALS[policy](1).sample(peers, None, None, rng) for _ in range(60)]
    assert all(sorted(sample) == peers for sample in samples)
    assert {sample[0] for sample in samples} == set(peers)
