"""Late binding: requests wait at their front until a guard with room takes them."""

import asyncio
import json
import time
from typing import Any

import pytest


async def fill(fleet: Any, pod: Any, eventually: Any, count: int = 8) -> list[asyncio.Task[Any]]:
    """Fill a pod's engine (its eight sequences) with requests that do not end before `go_on`."""
    pod.engine.go_on.clear()
    before = pod.engine.running
    tasks = [asyncio.ensure_future(fleet.answer(pod, tokens=2)) for _ in range(count)]
    await eventually(lambda: pod.engine.running == before + count)
    return tasks


async def test_requests_wait_at_the_front_and_not_in_the_engine(fleet: Any, eventually: Any) -> None:
    """What exceeds the engine's room waits at the front, and is served when room is gained."""
    pod = await fleet.add()
    running = await fill(fleet, pod, eventually)
    waiting = [asyncio.ensure_future(fleet.answer(pod, tokens=2)) for _ in range(5)]
    await eventually(lambda: pod.metric("waiting_requests") == 5)
    assert pod.engine.running == 8
    pod.engine.go_on.set()
    answers = await asyncio.gather(*running, *waiting)
    assert [status for status, _ in answers] == [200] * 13
    assert pod.engine.most_running == 8
    assert pod.metric("waiting_requests") == 0


async def test_waiting_requests_are_served_in_order_of_arrival(fleet: Any, eventually: Any) -> None:
    """First come, first served: also across a late joiner, who finds no gap to overtake through."""
    pod = await fleet.add()
    running = await fill(fleet, pod, eventually)
    waiting = []
    for number in range(5):
        waiting.append(asyncio.ensure_future(fleet.answer(pod, tokens=1, seed=number)))
        await eventually(lambda number=number: pod.metric("waiting_requests") == number + 1)
    pod.engine.go_on.set()
    await asyncio.gather(*running, *waiting)
    assert [body["seed"] for body in pod.engine.bodies if "seed" in body] == [0, 1, 2, 3, 4]


async def test_a_pod_that_becomes_ready_relieves_every_front(
    fleet: Any, small_engine: Any, eventually: Any
) -> None:
    """Requests that wait at two fronts are pulled by a new pod as soon as its engine is ready."""
    busy = [await fleet.add(), await fleet.add()]
    fresh = await fleet.add(small_engine(healthy=False), ready=False)
    await fleet.know_each_other()
    for pod in busy:
        pod.engine.go_on.clear()
    running = [asyncio.ensure_future(fleet.answer(busy[n % 2], tokens=2)) for n in range(16)]
    await eventually(lambda: sum(p.engine.running for p in busy) == 16)
    waiting = [asyncio.ensure_future(fleet.answer(pod, tokens=2)) for pod in busy for _ in range(3)]
    await eventually(lambda: sum(p.metric("waiting_requests") for p in busy) == 6)
    fresh.engine.healthy = True
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert [status for status, _ in answers] == [200] * 6
    assert len(fresh.engine.bodies) == 6
    for pod in busy:
        pod.engine.go_on.set()
    await asyncio.gather(*running)


async def test_a_peer_that_is_discovered_late_is_told_at_once(fleet: Any, eventually: Any) -> None:
    """A new pod in the peers list takes waiting requests although nobody asked it for bids before."""
    busy = await fleet.add()
    running = await fill(fleet, busy, eventually)
    waiting = asyncio.ensure_future(fleet.answer(busy, tokens=2))
    await eventually(lambda: busy.metric("waiting_requests") == 1)
    fresh = await fleet.add()
    assert (await asyncio.wait_for(waiting, 3))[0] == 200
    assert len(fresh.engine.bodies) == 1
    busy.engine.go_on.set()
    await asyncio.gather(*running)


async def test_a_full_queue_turns_requests_away(fleet: Any, eventually: Any) -> None:
    """Beyond queue.maxRequests a client gets 429 with the reason and Retry-After, at once."""
    pod = await fleet.add(config=fleet.config(queue={"maxRequests": 2, "maxWaitSeconds": 10}))
    running = await fill(fleet, pod, eventually)
    waiting = [asyncio.ensure_future(fleet.answer(pod, tokens=2)) for _ in range(2)]
    await eventually(lambda: pod.metric("waiting_requests") == 2)
    async with fleet.chat(pod) as response:
        assert response.status == 429
        assert response.headers["x-presage-reason"] == "queue-full"
        assert int(response.headers["Retry-After"]) >= 1
        assert (await response.json())["error"]["type"] == "rate_limit_error"
    pod.engine.go_on.set()
    await asyncio.gather(*running, *waiting)


async def test_a_queue_of_none_lets_nobody_wait(fleet: Any, eventually: Any) -> None:
    """With queue.maxRequests 0 whatever has no room is turned away."""
    pod = await fleet.add(config=fleet.config(queue={"maxRequests": 0, "maxWaitSeconds": 10}))
    running = await fill(fleet, pod, eventually)
    status, _ = await fleet.answer(pod)
    assert status == 429
    pod.engine.go_on.set()
    await asyncio.gather(*running)


async def test_waiting_has_an_end(fleet: Any, eventually: Any) -> None:
    """A request that found no room within queue.maxWaitSeconds gets 429 with the reason."""
    pod = await fleet.add(config=fleet.config(queue={"maxRequests": 9, "maxWaitSeconds": 0.2}))
    running = await fill(fleet, pod, eventually)
    began = time.monotonic()
    async with fleet.chat(pod) as response:
        assert (response.status, response.headers["x-presage-reason"]) == (429, "queue-timeout")
    assert 0.15 < time.monotonic() - began < 1.5
    pod.engine.go_on.set()
    await asyncio.gather(*running)
    assert pod.metric("waiting_requests") == 0


async def test_a_waiting_client_that_leaves_frees_its_place(fleet: Any, eventually: Any) -> None:
    """A client that disconnects while it waits leaves the queue, is never sent on, and counts once."""
    pod = await fleet.add()
    running = await fill(fleet, pod, eventually)
    gone = asyncio.ensure_future(fleet.answer(pod, tokens=2, seed=7))
    await eventually(lambda: pod.metric("waiting_requests") == 1)
    gone.cancel()
    await eventually(lambda: pod.metric("waiting_requests") == 0)
    assert pod.metric("requests_total", outcome="cancelled") == 1
    pod.engine.go_on.set()
    await asyncio.gather(*running)
    assert not [body for body in pod.engine.bodies if "seed" in body]
    status, _ = await fleet.answer(pod)
    assert status == 200


async def test_a_request_too_large_for_any_engine_is_decided_by_an_idle_one(fleet: Any) -> None:
    """A request beyond all KV goes to an idle engine at once: the engine answers for it, nobody waits."""
    pod = await fleet.add()
    status, _ = await asyncio.wait_for(fleet.answer(pod, tokens=2, messages=_words(40_000)), 3)
    assert status == 200


async def test_a_large_request_is_not_starved_by_small_ones(
    fleet: Any, small_engine: Any, fixed_length: Any
) -> None:
    """Under a steady load of small requests one that needs nearly all KV is served within seconds."""
    pod = await fleet.add(small_engine(token_seconds=0.02), predictor=fixed_length(100))
    stop = asyncio.Event()

    async def small_ones() -> int:
        served = 0
        while not stop.is_set():
            status, _ = await fleet.answer(pod, tokens=6, messages=_words(1200))
            served += status == 200
        return served

    load = [asyncio.ensure_future(small_ones()) for _ in range(14)]
    await asyncio.sleep(0.3)
    began = time.monotonic()
    status, _ = await asyncio.wait_for(fleet.answer(pod, tokens=4, messages=_words(13_500)), 8)
    waited = time.monotonic() - began
    stop.set()
    assert status == 200
    assert waited < 4
    assert sum(await asyncio.gather(*load)) > 20


async def test_reservations_of_requests_that_never_come_fall_free(fleet: Any, eventually: Any) -> None:
    """Room that was held for a pulled request whose front died is free again after a moment."""
    pod = await fleet.add()
    guard = pod.sidecar.guard
    now = time.monotonic()
    for number in range(8):
        guard.ledger.hold(f"ghost/{number}", 10, 10, now)
    assert not guard.ledger.could_start(guard.objectives, now)
    began = time.monotonic()
    status, _ = await asyncio.wait_for(fleet.answer(pod), 5)
    assert status == 200
    assert time.monotonic() - began > 1
    assert len(guard.ledger.reservations) == 0


async def test_a_front_that_died_does_not_close_guards(fleet: Any, eventually: Any) -> None:
    """Guards soon forget the waiting requests of a front that is gone, and serve others again."""
    alive = await fleet.add()
    async with fleet.client.post(
        alive.peer_url + "/presage/v1/waiting",
        json={"front": "127.0.0.9:9", "count": 5, "oldest": 3.0},
    ) as response:
        assert response.status == 204
    status, _ = await asyncio.wait_for(fleet.answer(alive), 3)
    assert status == 200


async def test_a_guard_without_room_answers_no_room(fleet: Any, eventually: Any) -> None:
    """A forward that the engine could not start at once gets 409 with the reason, and changes nothing."""
    pod = await fleet.add()
    running = await fill(fleet, pod, eventually)
    headers = {"x-presage-length": ",".join(["8"] * 8), "x-presage-prompt-tokens": "5"}
    url = pod.peer_url + "/presage/v1/forward/v1/chat/completions"
    async with fleet.client.post(url, json={"messages": []}, headers=headers) as response:
        assert (response.status, response.headers["x-presage-reason"]) == (409, "no-room")
    assert len(pod.sidecar.guard.ledger) == 8
    pod.engine.go_on.set()
    await asyncio.gather(*running)


@pytest.mark.parametrize("path", ["bid", "waiting", "take", "forward/v1/chat/completions"])
async def test_malformed_messages_between_sidecars_are_refused(fleet: Any, path: str) -> None:
    """A malformed message gets 400 with what is wrong, never a 500."""
    pod = await fleet.add()
    for body in (b"{", b"[]", b'{"room":"x","guard":1,"reservation":2,"front":3,"count":"y"}'):
        async with fleet.client.post(f"{pod.peer_url}/presage/v1/{path}", data=body) as response:
            assert response.status == 400
            assert json.loads(await response.text())["error"]["message"]


def _words(characters: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": "a" * characters}]
