"""What a guard knows of its engine: nothing gets lost whatever happens in whatever order."""

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.engine import EngineProfile, IterationCoefficients
from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives
from presage_policies.routing import Candidate
from presage_router.guard.ledger import Admitted, Ledger
from presage_router.wire import BidRequest, Take, Taken, WaitingNote

OBJECTIVES = Objectives(1.0, 0.05)
PROFILE = EngineProfile(
    name="test",
    coefficients=IterationCoefficients(0.01, 1e-5, 1e-5, 1e-8, 1e-9),
    kv_capacity_tokens=4096,
    max_sequences=8,
    token_budget=512,
)


def admitted(key: str, prompt: int, predicted: float, *, streams: bool = True, at: float = 0.0) -> Admitted:
    """Return a request that is let in at a time."""
    return Admitted(key, prompt, 0, predicted, streams, at, 0.0, prefill_seconds=0.1)


events = st.lists(
    st.tuples(
        st.sampled_from(["admit", "token", "many", "leave", "hold", "redeem", "expire", "resize", "load"]),
        st.integers(0, 7),
        st.integers(1, 600),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(events)
def test_everything_that_leaves_leaves_nothing_behind(history: list[tuple[str, int, int]]) -> None:
    """After any history the ledger of an empty engine is that of a fresh one."""
    ledger = Ledger(PROFILE)
    inside: dict[int, Admitted] = {}
    now = 0.0
    for what, number, size in history:
        now += 0.03
        if what == "admit" and number not in inside:
            inside[number] = admitted(str(number), size, size / 3, streams=number % 2 == 0, at=now)
            ledger.admit(inside[number])
        elif what in ("token", "many") and number in inside:
            step = 1 if what == "token" else size
            ledger.progress(inside[number], inside[number].generated + step, now)
        elif what == "leave" and number in inside:
            ledger.leave(inside.pop(number))
        elif what == "hold":
            ledger.hold(f"r{number}", size, size / 2, now)
        elif what == "redeem":
            ledger.redeem(f"r{number}")
        elif what == "expire":
            ledger.expire(now)
        elif what == "resize":
            ledger.resize(PROFILE, 1000 + size)
        else:
            load = ledger.load(now, open_for=True)
            assert load.requests == len(inside)
            assert load.decoding == sum(1 for a in inside.values() if a.first_token_at is not None)
            assert load.kv_tokens == sum(
                a.prompt_tokens + a.generated for a in inside.values() if a.first_token_at is not None
            )
        assert not math.isnan(ledger.peak())
    for one in inside.values():
        ledger.leave(one)
        ledger.leave(one)  # twice is once
    ledger.expire(now + 1e6)
    ledger.resize(PROFILE, None)
    load = ledger.load(now, open_for=True)
    assert (load.requests, load.decoding, load.prefilling_tokens, load.kv_tokens) == (0, 0, 0, 0)
    assert load.token_load == pytest.approx(0, abs=1e-6)
    assert (ledger.peak(), ledger.kv_usage, load.reserved) == (0, 0, 0)
    assert ledger.free_tokens() is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(1, 500)), max_size=6),
    st.integers(1, 3000),
    st.integers(1, 5000),
)
def test_what_an_offer_lets_through_has_room(sizes: list[tuple[int, int]], prompt: int, output: int) -> None:
    """A request that fits what a guard offers to take has room by the guard's exact rule on KV."""
    ledger = Ledger(PROFILE)
    for number, (p, d) in enumerate(sizes):
        one = admitted(str(number), p, d)
        ledger.admit(one)
        if number % 2:
            ledger.progress(one, 1, 0.0)
    free = ledger.free_tokens()
    take = Take("g", 1, "r", None if free is None else tuple(free))
    candidate = Candidate(prompt, LengthDistribution.constant(output), OBJECTIVES)
    prefill_room = ledger.load(0.0, open_for=True).prefilling_tokens < 2 * PROFILE.token_budget
    if take.fits(prompt, output) and prefill_room:
        assert ledger.has_room(candidate, 0.0)


def test_room_counts_promises() -> None:
    """Promised room is taken: sequences, prefill and KV, until it is redeemed or lapses."""
    ledger = Ledger(PROFILE)
    candidate = Candidate(100, LengthDistribution.constant(10), OBJECTIVES)
    ledger.hold("a", 4000, 10, now=0.0)
    assert not ledger.has_room(candidate, 0.0)
    assert ledger.redeem("a")
    assert not ledger.redeem("a")
    assert ledger.has_room(candidate, 0.0)
    ledger.hold("b", 4000, 10, now=0.0)
    assert ledger.expire(1.0) == 0
    assert ledger.expire(10.0) == 1
    assert ledger.has_room(candidate, 10.0)


def test_answers_that_do_not_stream_move_on_by_the_models_pace() -> None:
    """A silent request prefills, then decodes at the engine model's pace, as far as the guard can know."""
    ledger = Ledger(PROFILE)
    one = admitted("a", 100, 50, streams=False)
    ledger.admit(one)
    assert ledger.load(0.05, open_for=True).decoding == 0
    assert ledger.load(0.3, open_for=True).decoding == 1
    assert 10 <= one.generated <= 20  # 0.2 s of decoding at a little more than 10 ms a step


@given(st.lists(st.floats(1, 1e5), min_size=8, max_size=8), st.lists(st.integers(0, 2**48 - 1), max_size=5))
def test_messages_between_sidecars_survive_the_wire(tokens: list[float], prefix: list[int]) -> None:
    """What one sidecar writes another reads back."""
    ordered = sorted(round(t, 1) for t in tokens)
    asked = BidRequest("id", 7, LengthDistribution.from_wire(ordered), tuple(prefix), 30, "a:1")
    assert BidRequest.from_wire(asked.as_wire()) == asked
    for take in (Take("g", 1, "r", None), Take("g", 1, "r", ((64, 5), (256, 3)))):
        assert Take.from_wire(take.as_wire()) == take
    taken = Taken(1, 5, 7.5, 3, 0.25, blocked=True)
    assert Taken.from_wire(taken.as_wire()) == taken
    assert WaitingNote.from_wire({"front": "a:1", "count": 2, "oldest": 0.5}) == WaitingNote("a:1", 2, 0.5)


def test_bids_are_quick() -> None:
    """A bid of a full engine takes well under a millisecond: the median of many."""
    ledger = Ledger(PROFILE, 1_000_000)
    rng = np.random.default_rng(7)
    running = [admitted(str(n), int(rng.integers(10, 900)), float(rng.integers(10, 900))) for n in range(7)]
    for one in running:
        ledger.admit(one)
        ledger.progress(one, 1, 0.0)
    candidate = Candidate(300, LengthDistribution.constant(200), OBJECTIVES)
    spent: list[float] = []
    for round_number in range(200):
        ledger.progress(running[round_number % 7], 2 + round_number, 0.0)
        began: Any = time.perf_counter()
        ledger.bid(candidate, 0.0, open_for=True)
        spent.append(time.perf_counter() - began)
    assert float(np.median(spent)) < 0.001
