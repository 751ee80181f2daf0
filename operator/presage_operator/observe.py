"""Looks at the world once: the target, its pods and endpoints, and the load, all at the same time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from presage_operator import promql
from presage_operator.endpoints import Endpoints, read_endpoints
from presage_operator.pods import Pod, read_pods
from presage_operator.prometheus import MetricsError, finite
from presage_operator.signals import PodSignals, pod_signals
from presage_operator.targets import Target, TargetError, Targets

if TYPE_CHECKING:
    from presage_crds import LLMService
    from presage_policies.forecasting import TokenSeries

    from presage_operator.kube import KubeApi
    from presage_operator.prometheus import Prometheus
    from presage_operator.series import History

SHORTEST_RATE_SECONDS = 5
LONGEST_RATE_SECONDS = 300  # five scrapes at Prometheus' default interval


@dataclass(frozen=True)
class Trouble:
    """Why something could not be observed; `code` is a condition reason."""

    code: str
    message: str


@dataclass(frozen=True)
class Load:
    """What Prometheus knows of the service."""

    series: TokenSeries
    newest_sample: float | None = None  # unix seconds; None: never any
    pods: dict[str, PodSignals] = field(default_factory=dict)
    mean_prompt_tokens: float | None = None  # of recent requests; None: there were none
    mean_output_tokens: float | None = None
    trouble: Trouble | None = None  # this time Prometheus did not answer; `series` is what it said before


@dataclass(frozen=True)
class World:
    """One look; `now` is unix seconds when it began."""

    now: float
    target: Target | Trouble
    pods: tuple[Pod, ...]
    endpoints: Endpoints
    load: Load


async def observe(
    service: LLMService,
    api: KubeApi,
    targets: Targets,
    prometheus: Prometheus,
    history: History,
    *,
    now: float,
) -> World:
    """Look once.

    Raises `ApiError` when the API server does not answer; all other trouble is in the result.
    """
    (target, pods), endpoints, load = await asyncio.gather(
        _target_and_pods(service, api, targets),
        read_endpoints(api, service.metadata.namespace, service.service_name),
        _load(service, prometheus, history, now),
    )
    return World(now, target, pods, endpoints, load)


async def _target_and_pods(
    service: LLMService, api: KubeApi, targets: Targets
) -> tuple[Target | Trouble, tuple[Pod, ...]]:
    namespace = service.metadata.namespace
    try:
        target = await targets.read(namespace, service.spec.pools[0].scale_target_ref)
    except TargetError as error:
        return Trouble(error.code, str(error)), ()
    if not target.selector:
        return Trouble("TargetWithoutSelector", f"{target.path} reports no pod selector yet"), ()
    return target, tuple(await read_pods(api, namespace, target.selector))


async def _load(service: LLMService, prometheus: Prometheus, history: History, now: float) -> Load:
    selector = promql.ServiceSelector(service.metadata.namespace, service.metadata.name)
    seconds = rate_seconds(history.window_seconds)
    try:
        newest, gauges, rates, means, _ = await asyncio.gather(
            prometheus.instant(promql.newest_sample(selector), now),
            prometheus.instant(promql.pod_gauges(selector), now),
            prometheus.instant(promql.pod_rates(selector, seconds), now),
            prometheus.instant(promql.mean_lengths(selector, mean_seconds(history.window_seconds)), now),
            history.refresh(prometheus, selector, now),
        )
    except MetricsError as error:
        return Load(series=history.series(), trouble=Trouble(error.code, str(error)))
    by_signal = {sample.labels.get("signal"): finite(sample.value) for sample in means}
    return Load(
        series=history.series(),
        newest_sample=finite(newest[0].value) if newest else None,
        pods=pod_signals(gauges, rates),
        mean_prompt_tokens=by_signal.get("prompt"),
        mean_output_tokens=by_signal.get("output"),
    )


def rate_seconds(window_seconds: int) -> int:
    """Over how long present rates are averaged: a window, within 5 s and 5 minutes."""
    return max(SHORTEST_RATE_SECONDS, min(window_seconds, LONGEST_RATE_SECONDS))


def mean_seconds(window_seconds: int) -> int:
    """Over how long lengths are averaged: ten windows, within a minute and an hour."""
    return max(60, min(10 * window_seconds, 3600))
