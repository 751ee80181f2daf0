"""Many things go wrong at once: every request still gets one clear end, and nothing is left behind."""

import asyncio
import json
import socket
from collections import Counter
from typing import Any

import numpy as np


async def test_engines_that_come_and_go_under_load_lose_nobody(
    fleet: Any, small_engine: Any, eventually: Any
) -> None:
    """While engines die and return and clients leave, each request ends once, and all counts agree."""
    rng = np.random.default_rng(11)
    for _ in range(3):
        await fleet.add(small_engine(token_seconds=0.005))
    await fleet.know_each_other()
    ends: Counter[str] = Counter()

    async def one(number: int) -> None:
        pod = fleet.pods[number % 3]
        tokens, leaves, begins = int(rng.integers(1, 30)), number % 5 == 0, float(rng.random() * 2)
        await asyncio.sleep(begins)
        async with fleet.chat(pod, tokens=tokens, stream=number % 2 == 0) as response:
            if leaves and number % 2 == 0:
                response.close()
                ends["left"] += 1
                return
            text = await response.text()
        whole = "[DONE]" in text or '"usage"' in text
        ends["answered" if whole else "told" if '"error"' in text else "lost"] += 1

    async def trouble() -> None:
        for pod in (fleet.pods[0], fleet.pods[1], fleet.pods[0]):
            await asyncio.sleep(0.3)
            await pod.engine.stop()
            await asyncio.sleep(0.3)
            await pod.engine.start(pod.engine.host, pod.engine.port)

    await asyncio.wait_for(asyncio.gather(trouble(), *(one(n) for n in range(150))), 30)
    assert ends["lost"] == 0
    assert sum(ends.values()) == 150
    assert ends["answered"] > 100
    await eventually(lambda: all(len(p.sidecar.guard.ledger) == 0 for p in fleet.pods))
    await eventually(lambda: all(p.sidecar.front.relays == 0 for p in fleet.pods))
    outcomes = ("ok", "error", "rejected", "cancelled")
    counted = {o: sum(p.metric("requests_total", outcome=o) for p in fleet.pods) for o in outcomes}
    assert sum(counted.values()) == 150
    assert counted["ok"] >= ends["answered"]
    assert all(p.metric("waiting_requests") == 0 for p in fleet.pods)
    status, _ = await fleet.answer(fleet.pods[0])
    assert status == 200


async def test_bids_that_come_late_are_skipped_and_counted(fleet: Any) -> None:
    """A peer that accepts but does not answer a bid in time is left out of the choice, and is counted."""
    silent = socket.create_server(("127.0.0.9", 0))  # the kernel accepts, nobody answers
    port = silent.getsockname()[1]
    pod = await fleet.add(config=fleet.config(bidMilliseconds=50), publish=True)
    entries = json.loads(fleet.peers_file.read_text())
    entries.append({"front": f"127.0.0.9:{port}", "peer": f"127.0.0.9:{port}"})
    fleet.peers_file.write_text(json.dumps(entries))
    await until_known(pod)
    for _ in range(4):
        status, _text = await fleet.answer(pod)
        assert status == 200
    assert pod.metric("bids_total", result="ok") == 4
    assert 2 <= pod.metric("bids_total", result="late") < 4  # two in a row put it aside
    assert pod.metric("peers_aside") == 1
    silent.close()


async def until_known(pod: Any) -> None:
    """Wait until the peers file has been read again."""
    async with asyncio.timeout(5):
        while not pod.sidecar.table.others:  # noqa: ASYNC110 - the file is looked at now and then
            await asyncio.sleep(0.01)
