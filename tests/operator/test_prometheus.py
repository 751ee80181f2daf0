"""The operator's questions put to a real Prometheus with a known past."""

import math
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from presage_operator import promql
from presage_operator.prometheus import MetricsError, Prometheus
from presage_operator.series import History
from presage_operator.signals import pod_signals
from presage_sandbox.cluster import Cluster
from prometheus_past import prometheus_with

pytestmark = pytest.mark.cluster

WINDOW = 60
SCRAPE = 15
CHAT = promql.ServiceSelector("prod", "chat")


def end_of_history() -> int:
    """Return the end of a window that lies a minute or two back."""
    return int(time.time() // WINDOW - 1) * WINDOW


def history(end: int, windows: int = 60) -> str:
    """Return OpenMetrics text: pod a counts all the time, 10 tokens/s; away for windows 20-29.

    Pod b joins for the last 10 windows with 30 tokens/s. Another service counts 1,000 times as much.
    """
    lines: dict[str, list[str]] = {}
    labels = 'namespace="prod",service="chat"'

    def count(name: str, more: str, rate: float, first: int, last: int) -> None:
        for at in range(end - (windows - first) * WINDOW, end - (windows - last) * WINDOW + 1, SCRAPE):
            value = rate * (at - (end - windows * WINDOW))
            lines.setdefault(name, []).append(f"{name}_total{{{more}}} {value} {at}")

    for name, factor in (
        ("presage_router_prompt_tokens", 1.0),
        ("presage_router_served_prompt_tokens", 1.0),
        ("presage_router_predicted_output_tokens", 0.2),
        ("presage_router_output_tokens", 0.4),
    ):
        count(name, f'{labels},pod="a"', 10 * factor, 0, 20)
        count(name, f'{labels},pod="a"', 10 * factor, 30, 60)
        count(name, f'{labels},pod="b"', 30 * factor, 50, 60)
        count(name, 'namespace="prod",service="code",pod="c"', 10_000.0, 0, 60)
    count("presage_router_requests", f'{labels},pod="a",outcome="ok"', 0.1, 30, 60)
    count("presage_router_slo_requests", f'{labels},pod="a",met="true"', 0.3, 30, 60)
    count("presage_router_slo_requests", f'{labels},pod="a",met="false"', 0.1, 30, 60)
    parts = [f"# TYPE {name} counter\n" + "\n".join(rows) for name, rows in lines.items()]
    gauge = f'presage_router_kv_usage{{{labels},pod="a"}} 0.25 {end}'
    parts.append(f"# TYPE presage_router_kv_usage gauge\n{gauge}")
    return "\n".join(parts) + "\n# EOF\n"


class Past:
    """A Prometheus with that history; `end` is when it ends."""

    def __init__(self, url: str, end: int) -> None:
        self.url = url
        self.end = end
        self.client = Prometheus(url)


@pytest.fixture(scope="module")
def past(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """Start Prometheus with the history in its database and nothing to scrape."""
    end = end_of_history()
    with prometheus_with(history(end), cluster.layout, tmp_path_factory.mktemp("prometheus")) as url:
        made = Past(url, end)
        yield made
        made.client.close()


async def test_rates_per_window_are_the_counters_slopes(past: Past) -> None:
    """Sums over pods are right, the outage is absent rather than zero, and other services stay out."""
    read = History(WINDOW, 3600)
    await read.refresh(past.client, CHAT, past.end + 5.0)
    series = read.series()
    assert series.end == past.end
    np.testing.assert_allclose(series.prompt[-9:], 40.0, rtol=0.02)
    np.testing.assert_allclose(series.prompt[-25:-12], 10.0, rtol=0.02)
    assert np.isnan(series.prompt[-38:-31]).all()
    np.testing.assert_allclose(series.prompt[1:18], 10.0, rtol=0.02)
    # The predictor was low by half all along, so demand is what was streamed.
    np.testing.assert_allclose(series.output[-9:], 16.0, rtol=0.02)


async def test_a_second_look_asks_only_for_what_is_new(past: Past) -> None:
    """Reading on window by window gives the same series as reading all at once."""
    stepwise, once = History(WINDOW, 1800), History(WINDOW, 1800)
    for windows_ago in range(20, -1, -1):
        await stepwise.refresh(past.client, CHAT, past.end + 1.0 - windows_ago * WINDOW)
    await once.refresh(past.client, CHAT, past.end + 1.0)
    np.testing.assert_allclose(stepwise.series().prompt, once.series().prompt)
    assert stepwise.series().end == once.series().end


async def test_long_ranges_are_under_the_limit_of_points(past: Past) -> None:
    """More windows than Prometheus answers at once come back complete."""
    query = promql.token_rate(CHAT, promql.PROMPT_ARRIVED, WINDOW)
    start = past.end - 25_000
    values = await past.client.range(query, start, past.end, 1)
    assert values[past.end] == pytest.approx(40.0, rel=0.02)
    assert min(values) > past.end - 61 * WINDOW


async def test_an_unknown_service_is_absent_everywhere(past: Past) -> None:
    """No sample gives no number: no zero rate, no age, no pod."""
    nobody = promql.ServiceSelector("prod", 'no"body\\')
    read = History(WINDOW, 3600)
    await read.refresh(past.client, nobody, past.end + 5.0)
    assert len(read.series()) == 0
    assert await past.client.instant(promql.newest_sample(nobody), past.end) == []
    assert await past.client.instant(promql.pod_gauges(nobody), past.end) == []
    assert await past.client.instant(promql.mean_lengths(nobody, 600), past.end) == []


async def test_the_newest_sample_is_found_long_after_a_service_went_silent(past: Past) -> None:
    """The age of the data is known right away, and still half an hour after the last scrape."""
    for later in (5, 1800):
        found = await past.client.instant(promql.newest_sample(CHAT), past.end + later)
        assert [sample.value for sample in found] == [past.end]


async def test_signals_are_told_per_pod(past: Past) -> None:
    """Gauges, rates and finished requests arrive at the pod that they belong to."""
    gauges = await past.client.instant(promql.pod_gauges(CHAT), past.end)
    rates = await past.client.instant(promql.pod_rates(CHAT, 300), past.end)
    signals = pod_signals(gauges, rates)
    assert set(signals) == {"a", "b"}
    assert signals["a"].kv_usage == 0.25
    assert signals["b"].kv_usage is None
    assert signals["a"].prompt_rate == pytest.approx(10.0, rel=0.02)
    assert signals["b"].output_rate == pytest.approx(12.0, rel=0.02)
    assert signals["a"].slo_met == pytest.approx(0.75)
    assert signals["a"].finished == pytest.approx(120.0, rel=0.05)
    assert signals["b"].finished is None


async def test_mean_lengths_are_tokens_over_requests(past: Past) -> None:
    """Over the last 10 windows 40 prompt and 16 output tokens/s came with 0.1 requests/s."""
    found = await past.client.instant(promql.mean_lengths(CHAT, 300), past.end)
    means = {sample.labels["signal"]: sample.value for sample in found}
    assert means["prompt"] == pytest.approx(400.0, rel=0.02)
    assert means["output"] == pytest.approx(160.0, rel=0.02)


async def test_nan_is_an_answer_but_no_number(past: Past) -> None:
    """Prometheus' NaN arrives as NaN, not as an error and not as zero."""
    found = await past.client.instant("vector(0) / vector(0)", past.end)
    assert math.isnan(found[0].value)


async def test_trouble_names_the_address_and_the_kind() -> None:
    """Nobody listening, somebody silent, and somebody who is no Prometheus are three clear errors."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        refused = Prometheus(f"http://127.0.0.1:{port}")
        with pytest.raises(MetricsError, match=f"127.0.0.1:{port}: connection refused") as error:
            await refused.instant("1", 0.0)
        assert error.value.code == "PrometheusUnreachable"
        silent.listen()
        waiting = Prometheus(f"http://127.0.0.1:{port}", timeout_seconds=0.5)
        with pytest.raises(MetricsError, match="no answer in time") as error:
            await waiting.instant("1", 0.0)
        assert error.value.code == "PrometheusUnreachable"
        refused.close()
        waiting.close()


async def test_a_query_that_prometheus_refuses_says_so(past: Past) -> None:
    """A bad query is the server's refusal, not its absence."""
    with pytest.raises(MetricsError) as error:
        await past.client.instant("sum(", past.end)
    assert error.value.code == "PrometheusRefused"
