"""All pick policies by name: the API's, and the rivals that only the simulator offers."""

from presage_policies.routing.least_bid import LeastBid
from presage_policies.routing.least_request import LeastRequest
from presage_policies.routing.llumnix import Llumnix
from presage_policies.routing.pick import PickFactory
from presage_policies.routing.power_of_two import PowerOfTwo
from presage_policies.routing.prefix_token_load import PrefixTokenLoad
from presage_policies.routing.round_robin import RoundRobin
from presage_policies.routing.weighted_score import WeightedScore

PICKS: dict[str, PickFactory] = {
    "LeastBid": LeastBid,
    "RoundRobin": RoundRobin,
    "LeastRequest": LeastRequest,
    "PrefixTokenLoad": PrefixTokenLoad,
}
RIVALS: dict[str, PickFactory] = {
    "PowerOfTwo": PowerOfTwo,
    "WeightedScore": WeightedScore,
    "Llumnix": Llumnix,
}
