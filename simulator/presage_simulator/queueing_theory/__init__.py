"""Where theory knows the answer: queues whose mean response is exact, and the same queues simulated."""

from presage_simulator.queueing_theory.disciplines import DISCIPLINES, Discipline
from presage_simulator.queueing_theory.exact import fifo_response, sprpt_response, srpt_response
from presage_simulator.queueing_theory.single_server import Responses, simulate_queue

__all__ = [
    "DISCIPLINES",
    "Discipline",
    "Responses",
    "fifo_response",
    "simulate_queue",
    "sprpt_response",
    "srpt_response",
]
