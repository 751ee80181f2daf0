"""Leaving without losing anyone, and configuration that changes under way."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from presage_router.config import ConfigError
from presage_router.live_config import LiveConfig


async def test_a_drain_finishes_what_is_here_and_takes_nothing_new(fleet: Any, eventually: Any) -> None:
    """While draining the guard refuses, streams go on, new clients are served by others, then it is done."""
    leaving = await fleet.add()
    staying = await fleet.add()
    await fleet.know_each_other()
    for pod in fleet.pods:
        pod.engine.go_on.clear()
    under_way = [asyncio.ensure_future(fleet.answer(leaving, tokens=3)) for _ in range(4)]
    await eventually(lambda: sum(p.engine.running for p in fleet.pods) == 4)
    drained = asyncio.ensure_future(leaving.sidecar.drain())
    await eventually(lambda: not leaving.sidecar.guard.open)
    async with fleet.client.get(leaving.peer_url + "/readyz") as response:
        assert response.status == 503
    before = len(leaving.engine.bodies)
    staying.engine.go_on.set()
    status, _ = await fleet.answer(leaving, tokens=3)
    assert status == 200
    assert len(leaving.engine.bodies) == before
    assert not drained.done()
    leaving.engine.go_on.set()
    assert await asyncio.wait_for(drained, 5)
    assert [status for status, _ in await asyncio.gather(*under_way)] == [200] * 4


async def test_a_drain_ends_by_its_time_out(fleet: Any, eventually: Any) -> None:
    """A stream that does not end does not keep the pod beyond drainSeconds, and the answer says so."""
    pod = await fleet.add(config=fleet.config(timeouts={"drainSeconds": 0.2}))
    pod.engine.go_on.clear()
    stuck = asyncio.ensure_future(fleet.answer(pod, tokens=3))
    await eventually(lambda: pod.engine.running == 1)
    async with fleet.client.post(pod.peer_url + "/drain") as response:
        assert response.status == 200
        assert "under way" in await response.text()
    pod.engine.go_on.set()
    await stuck


async def test_a_drain_lingers_for_late_clients(fleet: Any) -> None:
    """With nothing under way a drain still lasts lingerSeconds, because proxies learn late."""
    pod = await fleet.add(config=fleet.config(timeouts={"lingerSeconds": 0.3}))
    began = time.monotonic()
    async with fleet.client.get(pod.peer_url + "/drain") as response:
        assert await response.text() == "drained\n"
    assert 0.3 <= time.monotonic() - began < 2


async def test_the_last_instance_that_drains_says_so(fleet: Any) -> None:
    """A client that reaches a draining sidecar without peers gets 503 `draining`."""
    pod = await fleet.add()
    assert await pod.sidecar.drain()
    async with fleet.chat(pod) as response:
        assert (response.status, response.headers["x-presage-reason"]) == (503, "draining")


async def test_sigterm_finishes_streams_and_exits_with_zero(
    fleet: Any, small_engine: Any, eventually: Any, tmp_path: Path
) -> None:
    """`presage router` as a process: SIGTERM lets a stream end, then the process exits 0."""
    engine = small_engine()
    await engine.start("127.0.0.1")
    fleet.stack.push_async_callback(engine.stop)
    config = tmp_path / "router.yaml"
    config.write_text(fleet.config().model_dump_json(by_alias=True))
    front, peer = f"127.0.0.1:{_free_port()}", f"127.0.0.1:{_free_port()}"
    command = [Path(sys.executable).with_name("presage"), "router", "--config", config]
    flags = {"ENGINE": engine.url, "FRONT": front, "PEER": peer}
    environment = os.environ | {f"PRESAGE_ROUTER_{k}": v for k, v in flags.items()}
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        command, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        await eventually(lambda: _status(f"http://{peer}/readyz") == 200, 30)
        engine.go_on.clear()
        url = f"http://{front}/v1/chat/completions"
        async with fleet.client.post(url, json={"stream": True, "max_tokens": 3, "messages": []}) as response:
            await response.content.readany()
            process.send_signal(signal.SIGTERM)
            await eventually(lambda: _status(f"http://{peer}/readyz") == 503)
            engine.go_on.set()
            assert (await response.text()).endswith("data: [DONE]\n\n")
        output, _ = await asyncio.to_thread(process.communicate, timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    lines = [json.loads(line) for line in output.splitlines()]
    access = [line for line in lines if line["event"] == "request"]
    assert [line["outcome"] for line in access] == ["ok"]
    assert access[0]["request_id"] == response.headers["x-request-id"]


async def test_a_changed_file_is_taken_over_and_a_bad_one_is_not(
    fleet: Any, eventually: Any, tmp_path: Path
) -> None:
    """A sidecar reloads its configuration when the file changes; a bad file keeps the last good one."""
    file = tmp_path / "router.yaml"
    file.write_text(fleet.config(policy="RoundRobin").model_dump_json(by_alias=True))
    live = LiveConfig(file, None)
    applied: list[str] = []
    refused: list[int] = []
    task = asyncio.ensure_future(live.run(lambda c, _: applied.append(c.policy), lambda: refused.append(1)))
    file.write_text(fleet.config(policy="LeastRequest").model_dump_json(by_alias=True))
    await eventually(lambda: applied == ["LeastRequest"])
    file.write_text("service: chat\npolicy: Fastest\n")
    await eventually(lambda: refused == [1])
    file.write_text("service: other\n")
    await eventually(lambda: len(refused) == 2)
    assert live.config.policy == "LeastRequest"
    task.cancel()


async def test_a_new_configuration_changes_what_is_served(fleet: Any) -> None:
    """After a reload the next request is routed by the new policy and bound by the new limits."""
    pod = await fleet.add()
    changed = fleet.config(policy="RoundRobin", maxBodyBytes=1024)
    pod.sidecar._apply(changed, pod.sidecar._live.profile)
    async with fleet.chat(pod, headers={"x-presage-explain": "1"}) as response:
        assert json.loads(response.headers["x-presage-explanation"])["policy"] == "RoundRobin"
    status, _ = await fleet.answer(pod, messages=[{"role": "user", "content": "a" * 2000}])
    assert status == 413


def test_a_missing_file_is_no_error_while_a_service_is_named(fleet: Any, tmp_path: Path) -> None:
    """While the optional file is missing defaults serve; without a service name that is an error."""
    assert LiveConfig(tmp_path / "none.yaml", fleet.config()).config.service == "chat"
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        LiveConfig(tmp_path / "none.yaml", None)
    with pytest.raises(ConfigError, match="--config FILE"):
        LiveConfig(None, None)


def _free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        port: int = it.getsockname()[1]
        return port


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
