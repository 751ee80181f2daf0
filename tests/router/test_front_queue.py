"""The queue of one front, where no socket is needed to show what matters."""

import asyncio
import time

from presage_policies.lengths import LengthDistribution
from presage_policies.objectives import Objectives
from presage_router.asked import read_body, understand
from presage_router.config import QueueConfig
from presage_router.front.queue import FrontQueue
from presage_router.jobs import Job
from presage_router.wire import Take


def job(number: int) -> Job:
    """Make the request of that number."""
    body = b'{"model": "m", "prompt": "hello"}'
    return Job(
        request_id=str(number),
        path="/v1/completions",
        body=body,
        headers={},
        client="c",
        asked=understand(read_body(body)),
        prompt_tokens=2,
        length=LengthDistribution.constant(10),
        prefix=(),
        arrived=time.monotonic() + number / 1000,
    )


def make_queue() -> FrontQueue:
    """Make a queue of the usual size."""
    return FrontQueue(QueueConfig(), Objectives(1.0, 0.05), lambda: None)


async def test_a_take_passes_by_a_client_that_leaves_in_the_same_moment() -> None:
    """Between a client's leaving and the queue's noticing, a guard's take gets the next in line, whole."""
    queue = make_queue()
    first, second = (asyncio.ensure_future(queue.wait(str(number), job(number))) for number in (1, 2))
    await asyncio.sleep(0)
    assert len(queue) == 2
    first.cancel()
    taken = queue.take(Take("guard:8100", 2, "r"))
    assert taken.taken == 1
    place = await asyncio.wait_for(second, 1)
    assert place.reservation == "r"
    assert len(queue) == 0


async def test_a_take_gives_no_more_than_asked_for_in_order_of_arrival() -> None:
    """A guard with room for one takes the first that arrived; the other goes on waiting."""
    queue = make_queue()
    later, earlier = (asyncio.ensure_future(queue.wait(str(number), job(number))) for number in (2, 1))
    await asyncio.sleep(0)
    assert queue.take(Take("guard:8100", 1, "r")).taken == 1
    assert (await asyncio.wait_for(earlier, 1)).peer == "guard:8100"
    assert not later.done()
    assert len(queue) == 1
    later.cancel()
