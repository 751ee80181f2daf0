"""The operator's HTTP port, over a real socket."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from presage_operator.metrics import Metrics
from presage_operator.server import HttpServer

State = dict[str, Any]


@pytest.fixture
def state() -> State:
    """Give what the probes and the recommendation answer; tests change it."""
    return {"live": None, "ready": None, "number": {"desiredReplicas": 4}}


@pytest.fixture
async def ask(state: State) -> AsyncIterator[Callable[[str], Any]]:
    """Give a function that asks the server for a path: (status, content type, body)."""
    metrics = Metrics()
    metrics.current.labels("prod", "chat", "main").set(2)
    server = HttpServer(
        metrics,
        lambda: state["live"],
        lambda: state["ready"],
        lambda namespace, name: state["number"] if (namespace, name) == ("prod", "chat") else None,
    )
    await server.start("127.0.0.1", 0)

    async def get(path: str) -> tuple[int, str, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{server.port}{path}") as answer,
        ):
            return answer.status, answer.headers["Content-Type"], await answer.text()

    yield get
    await server.stop()


async def test_probes_say_what_is_wrong(state: State, ask: Callable[[str], Any]) -> None:
    """A healthy process answers 200; otherwise 503 with the reason, each probe for itself."""
    assert (await ask("/livez"))[0] == 200
    state["live"] = "the watch hangs"
    status, _, text = await ask("/livez")
    assert (status, text) == (503, "the watch hangs\n")
    assert (await ask("/readyz"))[0] == 200


async def test_metrics_are_in_prometheus_format(ask: Callable[[str], Any]) -> None:
    """The metrics of the contract are served with the content type that Prometheus negotiates."""
    status, kind, text = await ask("/metrics")
    assert status == 200
    assert kind.startswith("text/plain")
    assert 'presage_operator_current_replicas{name="chat",namespace="prod",pool="main"} 2.0' in text
    assert "presage_operator_leader 0.0" in text


async def test_the_recommendation_is_a_number_or_an_error(state: State, ask: Callable[[str], Any]) -> None:
    """KEDA reads the number from JSON; without one it gets an error, never a guess."""
    assert (await ask("/external/prod/chat"))[2] == '{"desiredReplicas": 4}'
    assert (await ask("/external/prod/other"))[0] == 503
    state["number"] = None
    assert (await ask("/external/prod/chat"))[0] == 503
