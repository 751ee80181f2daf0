"""Bids weigh what a request would cost where; picks differ only in what they look at."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.anticipator import Anticipator
from presage_policies.engine import EngineProfile
from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile
from presage_policies.routing import PICKS, Bid, Candidate, InstanceLoad, PickState, has_room, make_bid

PROFILE = load_profile("rtx4090-llama-3.1-8b")
CANDIDATE = Candidate(1000, LengthDistribution.constant(200), Objectives(2.0, 0.08))


def instance(requests: int, prompt: int = 1000, output: int = 200) -> tuple[InstanceLoad, Anticipator]:
    """Return an instance on which so many equal requests have just begun to decode."""
    anticipator = Anticipator(PROFILE.kv_capacity_tokens)
    for number in range(requests):
        anticipator.start(str(number), prompt, output)
    load = InstanceLoad(
        requests=requests,
        decoding=requests,
        prefilling_tokens=0,
        kv_tokens=requests * prompt,
        token_load=requests * (prompt + output),
        kv_capacity_tokens=PROFILE.kv_capacity_tokens,
        max_sequences=PROFILE.max_sequences,
        projected_peak=anticipator.peak(),
    )
    return load, anticipator


def bid_at(requests: int, candidate: Candidate = CANDIDATE, profile: EngineProfile = PROFILE) -> Bid:
    """Return the bid of an instance with so many decoding requests."""
    return make_bid(profile, *instance(requests), candidate)


def test_a_busier_instance_bids_more() -> None:
    """Cost, TTFT and TPOT rise with the requests that are there."""
    bids = [bid_at(n) for n in (0, 5, 15, 30)]
    for less, more in pairwise(bids):
        assert less.cost_seconds < more.cost_seconds
        assert less.tpot_seconds < more.tpot_seconds
        assert less.ttft_seconds < more.ttft_seconds


def test_an_idle_bid_is_the_plain_run_time() -> None:
    """On an idle instance the cost is the request's own prefill and decode time, and nothing is delayed."""
    bid = bid_at(0)
    assert bid.added_delay_seconds == 0
    assert bid.cost_seconds == pytest.approx(bid.ttft_seconds + 199 * bid.tpot_seconds)


def test_a_prefix_hit_is_cheaper() -> None:
    """Affinity falls out of the bid: cached tokens need no prefill, here nor before others."""
    hit = bid_at(5, replace(CANDIDATE, cached_tokens=900))
    miss = bid_at(5)
    assert hit.ttft_seconds < miss.ttft_seconds
    assert hit.added_delay_seconds < miss.added_delay_seconds
    assert hit.cost_seconds < miss.cost_seconds
    assert hit.cached_tokens == 900


def test_affinity_gives_way_to_saturation() -> None:
    """A full prefix hit on a crowded instance costs more than a cold start of the prompt on an idle one."""
    assert bid_at(30, replace(CANDIDATE, cached_tokens=900)).cost_seconds > bid_at(1).cost_seconds


def test_a_faster_gpu_bids_less() -> None:
    """The same load on a faster engine costs less."""
    fast = load_profile("rtxpro6000-llama-3.1-8b")
    assert bid_at(10, profile=fast).cost_seconds < bid_at(10).cost_seconds


def test_lateness_weighs() -> None:
    """What misses its objectives costs more than the seconds alone."""
    strict = replace(CANDIDATE, objectives=Objectives(0.01, 0.001))
    assert bid_at(10, strict).cost_seconds > bid_at(10).cost_seconds


def test_room_is_what_the_engine_could_start_and_hold() -> None:
    """No room where KV would overflow, sequences or prefill budget are used up, or the guard says no."""
    assert bid_at(30).room
    assert not bid_at(36).room
    load, anticipator = instance(3)
    assert not has_room(PROFILE, replace(load, room=False), anticipator, CANDIDATE)
    assert not has_room(PROFILE, replace(load, waiting=1), anticipator, CANDIDATE)
    assert not has_room(PROFILE, replace(load, reserved=253), anticipator, CANDIDATE)
    assert not has_room(PROFILE, replace(load, prefilling_tokens=4096), anticipator, CANDIDATE)
    assert has_room(PROFILE, replace(load, prefilling_tokens=4095), anticipator, CANDIDATE)


def test_reservations_use_up_room() -> None:
    """Requests that were accepted and have not begun take the room that they will need."""
    load, anticipator = instance(20)
    assert has_room(PROFILE, load, anticipator, CANDIDATE)
    for number in range(16):
        anticipator.reserve(f"coming{number}", 1000, 200)
    assert not has_room(PROFILE, load, anticipator, CANDIDATE)


def test_an_idle_instance_takes_what_fits_nowhere() -> None:
    """A request too large for any instance is given to an idle one, so that it never waits for ever."""
    huge = Candidate(60_000, LengthDistribution.constant(10), Objectives(2.0, 0.08))
    assert bid_at(0, huge).room
    assert not bid_at(1, huge).room


def test_bids_travel() -> None:
    """A bid survives the wire, and a broken one is refused."""
    bid = bid_at(3)
    assert Bid.from_wire(bid.as_wire()) == bid
    assert bid.as_wire() == asdict(bid)  # no field stays at home
    with pytest.raises(ValueError, match="room"):
        Bid.from_wire({k: v for k, v in bid.as_wire().items() if k != "room"})


def plain(cost: float = 1.0, *, room: bool = True, requests: int = 0, token_load: float = 0.0) -> Bid:
    """Return a bid of which only the named figures matter."""
    return Bid(cost, 0.1, 0.02, 0.0, room, requests, token_load, 0)


peers_and_bids = st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("policy", sorted(PICKS))
@given(*peers_and_bids)
def test_sampling_asks_distinct_peers(policy: str, peers: int, bids: int, seed: int) -> None:
    """Every policy asks as many distinct existing peers as it may, the same for the same seed."""
    names = [f"pod{i}" for i in range(peers)]
    first = PICKS[policy](bids).sample(names, "pod0", "gone", np.random.default_rng(seed))
    again = PICKS[policy](bids).sample(names, "pod0", "gone", np.random.default_rng(seed))
    assert first == again
    assert len(first) == len(set(first)) == min(bids, peers)
    assert set(first) <= set(names)
    assert PICKS[policy](bids).sample([], None, None, np.random.default_rng(seed)) == []


@pytest.mark.parametrize("policy", sorted(PICKS))
@given(st.lists(st.tuples(st.floats(0, 9), st.booleans(), st.integers(0, 9)), min_size=1, max_size=6))
def test_room_comes_first(policy: str, load: list[tuple[float, bool, int]]) -> None:
    """Whoever has room is chosen before anyone without, by every policy."""
    bids = {str(i): plain(c, room=r, requests=n, token_load=n) for i, (c, r, n) in enumerate(load)}
    chosen = PICKS[policy](6).choose(bids, PickState(self_id="0", prefix_owner="1"))
    assert bids[chosen].room or not any(bid.room for bid in bids.values())


def test_each_policy_looks_at_its_own_figure() -> None:
    """LeastBid takes cost, LeastRequest requests, PrefixTokenLoad token load, RoundRobin the turn."""
    bids = {
        "turn": plain(3, requests=3, token_load=3e4),
        "cost": plain(1, requests=2, token_load=2e4),
        "requests": plain(2, requests=1, token_load=4e4),
        "tokens": plain(4, requests=4, token_load=1e4),
    }
    expected = {
        "LeastBid": "cost",
        "LeastRequest": "requests",
        "PrefixTokenLoad": "tokens",
        "RoundRobin": "turn",
    }
    assert {name: make(4).choose(bids, PickState()) for name, make in PICKS.items()} == expected


def test_prefix_owner_is_kept_until_it_saturates() -> None:
    """PrefixTokenLoad stays with the prefix owner up to the release, then takes the least token load."""
    pick = PICKS["PrefixTokenLoad"](2)
    state = PickState(prefix_owner="owner")
    assert (
        pick.choose({"owner": plain(token_load=16_000), "idle": plain(token_load=10_000)}, state) == "owner"
    )
    assert pick.choose({"owner": plain(token_load=18_000), "idle": plain(token_load=10_000)}, state) == "idle"


def test_round_robin_takes_everyone_in_turn() -> None:
    """Over n requests each of n instances is asked first exactly once."""
    pick, rng = PICKS["RoundRobin"](1), np.random.default_rng(0)
    asked = [pick.sample(["a", "b", "c"], None, None, rng)[0] for _ in range(6)]
    assert sorted(asked[:3]) == ["a", "b", "c"]
    assert asked[:3] == asked[3:]


def test_choosing_needs_a_bid() -> None:
    """Without any bid there is nothing to choose, and asking nobody is refused."""
    for make in PICKS.values():
        with pytest.raises(ValueError, match="no bid"):
            make(1).choose({}, PickState())
        with pytest.raises(ValueError, match="at least 1"):
            make(0)
