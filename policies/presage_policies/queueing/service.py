"""Orders of one preemptive server: who is served now, of those that wait and the one in service.

The queueing-theory side of the orders: a request may already have had some service. Plain scalars in, so
that a simulator can compile them. All have one signature: the time of arrival, the service a request is
expected to need (its true size for an oracle, a prediction otherwise) and what it has had of it, in
seconds. The smallest key goes first; a key never grows while its request is served.
"""


def first_come(arrived: float, expected: float, attained: float) -> float:  # noqa: ARG001 - one signature
    """Return the key of FIFO: the time of arrival."""
    return arrived


def shortest_remaining(arrived: float, expected: float, attained: float) -> float:  # noqa: ARG001 - one signature
    """Return the key of SRPT, or of SPRPT where `expected` is a prediction: the service still expected.

    Who has outlived its prediction expects nothing more, and nothing that arrives goes before it.
    (SRPT: Schrage and Miller 1966; SPRPT: Mitzenmacher, arXiv 1902.00732, surveyed in 2503.07545.)
    """
    return max(expected - attained, 0.0)
