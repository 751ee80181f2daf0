"""Requests that nobody has room for: a bounded waiting room, in an order that is a policy."""

from presage_policies.queueing.edf import EDF
from presage_policies.queueing.fcfs import FCFS
from presage_policies.queueing.least_slack import LeastSlack
from presage_policies.queueing.order import Order, Waiting
from presage_policies.queueing.shortest_predicted import ShortestPredicted
from presage_policies.queueing.waiting_room import WaitingRoom

__all__ = ["EDF", "FCFS", "LeastSlack", "Order", "ShortestPredicted", "Waiting", "WaitingRoom"]
