"""Where a request goes: instances bid what it would cost there, a policy picks."""

from presage_policies.routing.bid import Bid, Candidate, InstanceLoad, has_room, make_bid
from presage_policies.routing.pick import Pick, PickFactory, PickState
from presage_policies.routing.policies import PICKS, RIVALS
from presage_policies.routing.prefix import PrefixIndex, cached_tokens, prefix_blocks

__all__ = [
    "PICKS",
    "RIVALS",
    "Bid",
    "Candidate",
    "InstanceLoad",
    "Pick",
    "PickFactory",
    "PickState",
    "PrefixIndex",
    "cached_tokens",
    "has_room",
    "make_bid",
    "prefix_blocks",
]
