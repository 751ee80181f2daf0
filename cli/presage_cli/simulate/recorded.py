"""A service's own recorded load as a scenario: what last week would have cost under the alternatives.

Asks Prometheus for what the sidecars counted: requests, prompt and output tokens a window, and the histograms
of lengths. Rates and means are replayed window by window; lengths are lognormal about a window's mean with
the spread that the histograms show. What precedes the replayed part is the forecasters' history.
"""

import asyncio
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from presage_operator import promql
from presage_operator.prometheus import MetricsError, Prometheus
from presage_policies.engine import sustainable_rates
from presage_policies.profiles import load_profile
from presage_simulator.scenario import ObjectivesSpec, Scenario, ScenarioError, parse_scenario
from presage_simulator.sources import objectives

WINDOW = 600  # seconds
SIGMA = 0.8  # of the logarithm of lengths, where no histogram tells (ours)
PROMPT_LENGTHS = "presage_router_request_prompt_tokens"
OUTPUT_LENGTHS = "presage_router_request_output_tokens"
UNITS = {"h": 3600, "d": 86400, "w": 604800}
SPARE = 2.0  # the pool may grow to so many times what the busiest window needs
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded by window, oldest first: rates per second (NaN = absent), and lengths' spread."""

    requests: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    sigma: float


def recorded_scenario(url: str, namespace: str, service: str, last: str, profile: str) -> Scenario:
    """Ask Prometheus and return the scenario. Raises ScenarioError when there is nothing to replay."""
    seconds = duration(last)
    end = int(time.time() // WINDOW) * WINDOW
    try:
        recording = asyncio.run(_recording(url, promql.ServiceSelector(namespace, service), seconds, end))
    except MetricsError as error:
        raise ScenarioError(str(error)) from error
    return scenario_of(recording, service, seconds, profile)


def duration(text: str) -> int:
    """Return the seconds of 12h, 7d or 2w. Raises ScenarioError for anything else."""
    found = re.fullmatch(r"([1-9]\d*)([hdw])", text)
    if found is None:
        raise ScenarioError(f"--last is {text!r}: give hours, days or weeks as in 12h, 7d, 2w")
    return int(found[1]) * UNITS[found[2]]


def scenario_of(recording: Recording, service: str, seconds: int, profile: str) -> Scenario:
    """Make a scenario of a recording whose last `seconds` are replayed."""
    windows = seconds // WINDOW
    known = np.isfinite(recording.requests)
    if not (recording.requests[-windows:][known[-windows:]] > 0).any():
        raise ScenarioError(f"{service}: no request was counted in the last {seconds} s; check the names")
    begin = int(np.argmax(known))  # what precedes the first sample is not known to have been empty
    requests = np.nan_to_num(recording.requests[begin:])
    means = {
        name: _means(np.nan_to_num(tokens[begin:]), requests)
        for name, tokens in (("Prompt", recording.prompt_tokens), ("Output", recording.output_tokens))
    }
    history = max(0, len(requests) - windows)
    absent = int((~known[begin:][history:]).sum())
    return parse_scenario(
        {
            "name": f"{service}-recorded",
            "description": _told(service, seconds, recording.sigma, absent, windows),
            "profile": profile,
            "pool": {"max": _most(requests, means, profile)},
            "workloads": [
                {
                    "name": service,
                    "recorded": {
                        "windowSeconds": WINDOW,
                        "requestsPerSecond": requests.tolist(),
                        "meanPromptTokens": means["Prompt"].tolist(),
                        "meanOutputTokens": means["Output"].tolist(),
                    },
                    "lengths": {"sigma": recording.sigma},
                    "from": history * WINDOW,
                    "history": history * WINDOW,
                }
            ],
            "windowSeconds": WINDOW,
            "systems": alternatives(),
            "baseline": "hpa",
        }
    )


def alternatives() -> list[dict[str, Any]]:
    """Return the systems that a recorded load is replayed against."""
    forecast = {"model": "Auto"}
    reactive = {"policy": "LeastRequest", "bids": 0}
    return [
        {"name": "presage", "forecast": forecast, "scaling": {"policy": "SLOModel"}},
        {
            "name": "preserve",
            "forecast": forecast,
            "scaling": {
                "policy": "PreServe",
                "parameters": {"level": 0.5, "asPublished": True},
                "behavior": {"scaleUp": {}, "scaleDown": {}},
            },
        },
        {"name": "hpa", "routing": reactive, "scaling": {"policy": "HPA"}},
        {"name": "keda-slo", "routing": reactive, "scaling": {"policy": "KEDASLO"}},
        {"name": "foresight", "scaling": {"policy": "Foresight"}},
    ]


async def _recording(url: str, service: promql.ServiceSelector, seconds: int, end: int) -> Recording:
    """Read the replayed part and as much again before it."""
    client = Prometheus(url)
    start = end - 2 * seconds
    try:
        rates = [
            _column(await client.range(query, start + WINDOW, end, WINDOW), start, end)
            for query in (
                promql.token_rate(service, promql.REQUESTS, WINDOW),
                promql.token_rate(service, promql.PROMPT_ARRIVED, WINDOW),
                promql.token_rate(service, promql.OUTPUT_STREAMED, WINDOW),
            )
        ]
        spreads = [
            await _spread(client, service, name, seconds, end) for name in (PROMPT_LENGTHS, OUTPUT_LENGTHS)
        ]
    finally:
        client.close()
    told = [spread for spread in spreads if spread is not None]
    return Recording(rates[0], rates[1], rates[2], sum(told) / len(told) if told else SIGMA)


async def _spread(
    client: Prometheus, service: promql.ServiceSelector, name: str, seconds: int, end: int
) -> float | None:
    """Return the standard deviation of the logarithm of lengths, by their histogram's quartiles."""
    buckets = f"sum by (le) (increase({name}_bucket{{{service.labels}}}[{seconds}s]))"
    quartiles = []
    for level in (0.25, 0.75):
        found = await client.instant(f"histogram_quantile({level}, {buckets})", end)
        quartiles += [sample.value for sample in found if math.isfinite(sample.value) and sample.value > 0]
    if len(quartiles) < 2:  # noqa: PLR2004 - both
        return None
    return math.log(quartiles[1] / quartiles[0]) / (2 * NormalDist().inv_cdf(0.75))


def _column(values: Mapping[int, float], start: int, end: int) -> Floats:
    """Return one value a window, by the window's end; NaN = absent."""
    return np.array([values.get(at, math.nan) for at in range(start + WINDOW, end + 1, WINDOW)])


def _means(tokens: Floats, requests: Floats) -> Floats:
    """Return mean tokens of each window's requests; those of all where a window has none."""
    overall = max(1.0, tokens.sum() / max(requests.sum(), 1e-9))
    served = (requests > 0) & (tokens > 0)
    return np.where(served, np.maximum(1.0, tokens / np.where(served, requests, 1.0)), overall)


def _most(requests: Floats, means: Mapping[str, Floats], profile: str) -> int:
    """Return the most replicas that a system may have: with room above what the busiest window needs."""
    promise = objectives(ObjectivesSpec())
    prompt, output = (float(np.average(means[kind], weights=requests)) for kind in ("Prompt", "Output"))
    try:
        engine = load_profile(profile)
    except ValueError as error:
        raise ScenarioError(str(error)) from error
    each = sustainable_rates(engine, prompt, output, promise).prompt / prompt
    if each <= 0:
        raise ScenarioError(
            f"--profile {profile} cannot serve {prompt:.0f} + {output:.0f} tokens within the objectives"
        )
    return max(4, math.ceil(SPARE * float(requests.max()) / each))


def _told(service: str, seconds: int, sigma: float, absent: int, windows: int) -> str:
    gaps = f" {absent} of {windows} windows are absent and replayed as empty." if absent else ""
    return (
        f"The load that {service} recorded over {seconds / 3600:g} hours: requests and mean lengths every "
        f"{WINDOW // 60} minutes, lognormal lengths of spread {sigma:.2f} about them, Poisson arrivals.{gaps}"
    )
