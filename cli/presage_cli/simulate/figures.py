"""The report's drawings: load and forecast, replicas, latencies, and attainment against cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from presage_simulator.comparison import Comparison
from presage_simulator.pool_figures import sampled, together
from presage_simulator.results import ReplicaSteps
from presage_simulator.runner import Ran
from presage_simulator.statistics import estimates
from presage_simulator.stories import BIN_SECONDS, LEVELS, Story

from presage_cli.simulate.drawing import FORESIGHT, GRID, INK, MISSED, PALETTE, drawing, hour_axis

COLUMNS = 3  # panels of replicas in a row
TAIL = 1e-4  # share of requests down to which distributions are drawn


def colours_of(comparison: Comparison) -> dict[str, str]:
    """Return each system's colour, the same in every drawing."""
    rivals = [s.name for s in comparison.scenario.systems if s.name != comparison.scenario.foresight]
    colours = {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(rivals)}
    return colours | {comparison.scenario.foresight: FORESIGHT}


def load_figure(runs: Mapping[str, Ran]) -> str:
    """Draw each service's token rate a window, with the forecast that was made as the window began."""
    services = list(next(iter(runs.values())).stories)
    with drawing(10.6, 2.4 * len(services)) as (figure, drawn):
        rows = figure.subplots(len(services), 1, squeeze=False)[:, 0]
        for axes, service in zip(rows, services, strict=True):
            stories = [ran.stories[service] for ran in runs.values()]
            rate, window = stories[0].demand, stories[0].window_seconds
            edges = np.arange(len(rate) + 1) * window
            axes.stairs(rate, edges, fill=True, color=GRID, label="load")
            axes.stairs(rate, edges, color=INK, linewidth=0.8)
            _forecast(axes, stories)
            axes.set_ylim(0)
            axes.set_title(service)
            axes.set_ylabel("tokens/s")
            axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
            hour_axis(axes, len(rate) * window)
            axes.legend(loc="upper left", ncols=3)
    return drawn[0]


def replicas_figure(comparison: Comparison, runs: Mapping[str, Ran]) -> str:
    """Draw each system's replicas over time, perfect foresight's behind them, misses as a strip below."""
    names = [name for name in runs if name != comparison.scenario.foresight]
    needed = runs.get(comparison.scenario.foresight)
    colours = colours_of(comparison)
    rows = -(-len(names) // COLUMNS)
    columns = min(COLUMNS, len(names))
    with drawing(10.6, 2.1 * rows) as (figure, drawn):
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for axes, name in zip(panels, names, strict=False):
            _replicas(axes, runs[name], needed, colours[name])
            axes.set_title(name, color=colours[name])
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        for axes in panels[::columns]:
            axes.set_ylabel("replicas")
    return drawn[0]


def distributions_figure(
    comparison: Comparison, runs: Mapping[str, Ran], objectives: Mapping[str, float]
) -> str:
    """Draw which share of requests waited longer: TTFT and E2E, one row a service.

    `objectives`: TTFT in seconds by service.
    """
    services = list(objectives)
    colours = colours_of(comparison)
    with drawing(10.6, 2.9 * len(services)) as (figure, drawn):
        panels = figure.subplots(len(services), 2, squeeze=False)
        for row, service in zip(panels, services, strict=True):
            for axes, kind in zip(row, ("ttft", "e2e"), strict=True):
                for name, ran in runs.items():
                    values = getattr(ran.stories[service], kind)
                    dashed = "--" if name == comparison.scenario.foresight else "-"
                    axes.plot(values, 1 - LEVELS, dashed, color=colours[name], label=name, linewidth=1.5)
                _tail(axes, f"{service}: {kind.upper()}")
            row[0].axvline(objectives[service], color=MISSED, linestyle=":", linewidth=1.2)
        _legend_below(figure, panels[0, 0])
    return drawn[0]


def front_figure(comparison: Comparison) -> str:
    """Draw misses against replica-seconds, over all services and for each: settings, fronts, shown rows."""
    services = [each.name for each in comparison.scenario.workloads]
    panels = [None, *services] if len(services) > 1 else [None]
    colours = colours_of(comparison)
    with drawing(10.6, 4.2 if len(panels) == 1 else 7.4) as (figure, drawn):
        layout: list[Any] = [["all"] * max(1, len(services)), services] if len(panels) > 1 else [["all"]]
        axes = figure.subplot_mosaic(layout)
        for service in panels:
            panel = axes["all" if service is None else service]
            _front(panel, comparison, colours, service)
            panel.set_title("all services" if service is None and len(panels) > 1 else service or "")
        _legend_below(figure, axes["all"])
    return drawn[0]


def _front(axes: Axes, comparison: Comparison, colours: Mapping[str, str], service: str | None) -> None:
    """Draw a front: every setting a dot, the undominated ones joined, shown rows ringed."""
    for name, runs in comparison.shown().items():
        settings = [runs, *comparison.variants(name)]
        cloud = np.array([_cost_and_misses(each, service) for each in settings])
        cloud = cloud[np.isfinite(cloud).all(axis=1)]
        if len(cloud) == 0:
            continue
        front, colour = undominated(cloud), colours[name]
        axes.plot(front[:, 0], front[:, 1], color=colour, linewidth=1.4, label=name, marker="o", markersize=4)
        axes.scatter(cloud[:, 0], cloud[:, 1], s=9, color=colour, alpha=0.35)
        axes.scatter(cloud[:1, 0], cloud[:1, 1], s=70, facecolors="none", edgecolors=colour, linewidths=1.6)
    axes.set_yscale("symlog", linthresh=0.1, linscale=0.4)
    axes.set_ylim(bottom=-0.01)
    axes.set_yticks([0, 0.1, 0.3, 1, 3, 10, 30, 100])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("replica-seconds (fewer is cheaper)")
    axes.set_ylabel("requests that missed (lower is better)")


def undominated(cloud: np.ndarray) -> np.ndarray:
    """Return the (cost, misses) that no other of the cloud beats in both, by cost; shape [m, 2]."""
    kept: list[np.ndarray] = []
    for point in cloud[np.lexsort((cloud[:, 1], cloud[:, 0]))]:
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return np.array(kept)


def _cost_and_misses(runs: Sequence[Ran], service: str | None) -> tuple[float, float]:
    """Return mean replica-seconds and per cent of requests missed, of one service or of all."""
    told = estimates([ran.figures if service is None else ran.services[service] for ran in runs])
    cost, met = told["replica_seconds"].mean, told["slo_attainment"].mean
    return (np.nan if cost is None else cost, np.nan if met is None else 100 * (1 - met))


def _forecast(axes: Axes, stories: Sequence[Story]) -> None:
    story = next((each for each in stories if len(each.forecast_at)), None)
    if story is None:
        return
    at = np.append(story.forecast_at, story.forecast_at[-1] + story.window_seconds)
    middle, high = (np.append(made, made[-1]) for made in (story.forecast_p50, story.forecast_p90))
    axes.fill_between(
        at, middle, high, step="post", color=PALETTE[2], alpha=0.25, linewidth=0, label="P50 to P90"
    )
    axes.step(at, middle, where="post", color=PALETTE[2], linewidth=1.4, label="forecast")


def _replicas(axes: Axes, ran: Ran, needed: Ran | None, colour: str) -> None:
    seconds = max(ran.seconds.values())
    if needed is not None:
        steps = together(list(needed.replicas.values()))
        axes.fill_between(*_stepped(steps, 0, seconds), step="post", color=FORESIGHT, alpha=0.3, linewidth=0)
    steps = together(list(ran.replicas.values()))
    axes.step(*_stepped(steps, 0, seconds), where="post", color=colour, linewidth=1.4)
    axes.step(*_stepped(steps, 1, seconds), where="post", color=colour, linewidth=0.8, alpha=0.55)
    axes.set_ylim(bottom=0)
    hour_axis(axes, seconds)
    axes.set_xlabel("")
    strip = axes.inset_axes((0, -0.34, 1, 0.09))
    strip.set_axis_off()
    arrivals = summed_minutes([story.arrivals for story in ran.stories.values()])
    missed = summed_minutes([story.missed for story in ran.stories.values()])
    share = missed / np.maximum(1, arrivals)
    edges = np.arange(len(share) + 1) * BIN_SECONDS
    strip.stairs((share > 0).astype(float), edges, fill=True, color=MISSED, alpha=0.18)
    strip.stairs(share, edges, fill=True, color=MISSED)
    strip.set_xlim(0, seconds)
    strip.set_ylim(0, 1)


def summed_minutes(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sum minute by minute; services that end earlier add nothing afterwards."""
    minutes = max(len(column) for column in columns)
    return np.sum([np.pad(column, (0, minutes - len(column))) for column in columns], axis=0)  # type: ignore[no-any-return]


def _stepped(steps: ReplicaSteps, kind: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    times = np.append(steps.at[steps.at < seconds], seconds)
    return times, sampled(steps, times)[kind]


def _tail(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(TAIL, 1)
    axes.set_title(title)
    axes.set_xlabel("seconds")
    axes.set_ylabel("requests that took longer")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)


def _thousands(value: float, _: int) -> str:
    return f"{value:,.0f}"
