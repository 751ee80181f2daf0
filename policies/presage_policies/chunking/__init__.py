"""What an engine's scheduler decides each iteration: whose prompt goes on, and how much of it.

Decodes run in every iteration; prompts share what tokens are left, in an order (`orders`, `niyama`), in
chunks of a fixed size (Sarathi-Serve, arXiv 2403.02310) or of the largest that the decodes' deadlines
stand (`niyama`). Plain scalars and arrays in, so that the simulator compiles these very functions.
"""

from presage_policies.chunking.niyama import hopeless, hybrid, largest_fitting, learned_rate
from presage_policies.chunking.orders import earliest_deadline, first_come, least_slack, shortest_prefill
from presage_policies.chunking.pacing import first_token_due, next_token_due

__all__ = [
    "earliest_deadline",
    "first_come",
    "first_token_due",
    "hopeless",
    "hybrid",
    "largest_fitting",
    "learned_rate",
    "least_slack",
    "next_token_due",
    "shortest_prefill",
]
