"""A recorded load becomes a scenario with the same rates, means and spread; what is absent is told."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from presage_cli.simulate.recorded import WINDOW, Recording, duration, recorded_scenario, scenario_of
from presage_sandbox.cluster import Cluster
from presage_simulator.data import Tables
from presage_simulator.scenario import ScenarioError
from presage_simulator.sources import load_of
from prometheus_past import prometheus_with

PROFILE = "rtx4090-llama-3.1-8b"
HOUR = 3600
SIGMA = 0.6


def recording(requests: list[float]) -> Recording:
    """Return a recording of these requests/s, each of 1,000 prompt and 200 output tokens."""
    rates = np.array(requests)
    return Recording(rates, 1000 * rates, 200 * rates, SIGMA)


@pytest.mark.parametrize(("text", "seconds"), [("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)])
def test_durations(text: str, seconds: int) -> None:
    """Hours, days and weeks are understood."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["7", "0d", "7 days", "-1d", "1.5d"])
def test_other_durations_are_refused(text: str) -> None:
    """Anything else is refused with what to write."""
    with pytest.raises(ScenarioError, match="7d"):
        duration(text)


def test_the_replayed_part_and_its_history() -> None:
    """The last two hours are replayed; what precedes them is the forecasters' history."""
    scenario = scenario_of(recording([1.0] * 12 + [2.0] * 12), "chat", 2 * HOUR, PROFILE)
    load = load_of(scenario, scenario.workloads[0], Tables(Path()), 0)
    assert load.seconds == 2 * HOUR
    assert len(load.workload) == pytest.approx(2 * 2 * HOUR, rel=0.05)
    assert len(load.history) == 12
    assert load.history.prompt.mean() == pytest.approx(1000, rel=0.05)
    assert load.workload.output_tokens.mean() == pytest.approx(200, rel=0.05)
    assert np.log(load.workload.prompt_tokens).std() == pytest.approx(SIGMA, rel=0.05)


def test_absent_windows_are_empty_and_told() -> None:
    """A gap in what is replayed has no requests, and the description says so; before the first is nothing."""
    gap = [math.nan] * 6 + [1.0] * 6 + [1.0] * 6 + [math.nan] * 3 + [1.0] * 3
    scenario = scenario_of(recording(gap), "chat", 2 * HOUR, PROFILE)
    load = load_of(scenario, scenario.workloads[0], Tables(Path()), 0)
    assert "3 of 12 windows are absent" in scenario.description
    assert np.histogram(load.workload.at, [HOUR, 1.5 * HOUR])[0] == [0]
    assert len(load.history) == 6


def test_a_service_that_was_never_asked_is_an_error() -> None:
    """Without a request in the period there is nothing to replay, and the names may be wrong."""
    with pytest.raises(ScenarioError, match="check the names"):
        scenario_of(recording([1.0] * 12 + [0.0] * 12), "chat", 2 * HOUR, PROFILE)


def test_a_profile_that_cannot_serve_it_is_an_error() -> None:
    """Requests that no number of instances could serve within the objectives are told before the replay."""
    rates = np.ones(24)
    with pytest.raises(ScenarioError, match="cannot serve 30000"):
        scenario_of(Recording(rates, 30_000 * rates, rates, SIGMA), "chat", 2 * HOUR, PROFILE)


def history(end: int) -> str:
    """Return OpenMetrics of four hours: 2 requests/s of 1,000 and 200 tokens on average.

    A quarter of the prompts has 500 tokens, half 1,000, a quarter 2,000.
    """
    labels = 'namespace="prod",service="chat",pod="a"'
    times = range(end - 4 * HOUR, end + 1, 60)
    families = []
    for name, rate, more in (
        ("presage_router_requests", 2.0, ',outcome="ok"'),
        ("presage_router_prompt_tokens", 2000.0, ""),
        ("presage_router_output_tokens", 400.0, ""),
    ):
        rows = [f"{name}_total{{{labels}{more}}} {rate * (at - times[0])} {at}" for at in times]
        families.append(f"# TYPE {name} counter\n" + "\n".join(rows))
    name = "presage_router_request_prompt_tokens"
    shares = {"500": 0.25, "1000": 0.75, "2000": 1.0, "+Inf": 1.0}
    rows = [
        f'{name}_bucket{{{labels},le="{le}"}} {round(2 * share * (at - times[0]))} {at}'
        for at in times
        for le, share in shares.items()
    ]
    families.append(f"# TYPE {name} histogram\n" + "\n".join(rows))
    return "\n".join(families) + "\n# EOF\n"


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a real Prometheus that holds that history; give its address."""
    past = history(int(time.time() // WINDOW) * WINDOW)
    with prometheus_with(past, cluster.layout, tmp_path_factory.mktemp("recorded")) as url:
        yield url


@pytest.mark.cluster
def test_a_real_prometheus_is_read(prometheus: str) -> None:
    """Rates, means and the spread of the histogram come out of Prometheus as they went in."""
    scenario = recorded_scenario(prometheus, "prod", "chat", "2h", PROFILE)
    workload = scenario.workloads[0]
    assert workload.recorded is not None
    assert workload.recorded.requests_per_second == pytest.approx([2.0] * 24, rel=0.02)
    assert workload.recorded.mean_prompt_tokens == pytest.approx([1000.0] * 24, rel=0.02)
    assert workload.recorded.mean_output_tokens == pytest.approx([200.0] * 24, rel=0.02)
    assert workload.lengths is not None
    assert workload.lengths.sigma == pytest.approx(math.log(2) / (2 * 0.67449), rel=0.05)
    assert workload.history == 2 * HOUR


@pytest.mark.cluster
def test_a_service_that_prometheus_does_not_know_is_an_error(prometheus: str) -> None:
    """A wrong name is told as such."""
    with pytest.raises(ScenarioError, match="check the names"):
        recorded_scenario(prometheus, "prod", "nobody", "2h", PROFILE)


def test_nobody_at_the_address_is_an_error() -> None:
    """An address where no Prometheus listens is named."""
    with pytest.raises(ScenarioError, match=r"127\.0\.0\.1:1: connection refused"):
        recorded_scenario("http://127.0.0.1:1", "prod", "chat", "2h", PROFILE)
