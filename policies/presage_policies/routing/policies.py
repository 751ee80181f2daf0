"""All pick policies by their name in the API."""

from presage_policies.routing.least_bid import LeastBid
from presage_policies.routing.least_request import LeastRequest
from presage_policies.routing.pick import PickFactory
from presage_policies.routing.prefix_token_load import PrefixTokenLoad
from presage_policies.routing.round_robin import RoundRobin

PICKS: dict[str, PickFactory] = {
    "LeastBid": LeastBid,
    "RoundRobin": RoundRobin,
    "LeastRequest": LeastRequest,
    "PrefixTokenLoad": PrefixTokenLoad,
}
