"""The disciplines of the truth check: each an order of the brain, told the true size or a prediction."""

from collections.abc import Callable
from dataclasses import dataclass

from presage_policies.queueing.service import first_come, shortest_remaining

from presage_simulator.queueing_theory.exact import fifo_response, sprpt_response, srpt_response


@dataclass(frozen=True, slots=True)
class Discipline:
    """An order with what it is told. `exact` gives the mean response at a load.

    `published` is the figure of arXiv 2503.07545 at load 0.8.
    """

    name: str
    order: Callable[[float, float, float], float]
    predicted: bool
    exact: Callable[[float], float]
    published: float


DISCIPLINES = (
    Discipline("fifo", first_come, predicted=False, exact=fifo_response, published=5.0),
    Discipline("srpt", shortest_remaining, predicted=False, exact=srpt_response, published=2.3528),
    Discipline("sprpt", shortest_remaining, predicted=True, exact=sprpt_response, published=3.1168),
)
