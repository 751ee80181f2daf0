"""Writes the report: one page without any outside resource, in light and dark, with its charts inline."""

import string
from collections.abc import Mapping
from html import escape
from importlib import resources

import numpy as np
from presage_simulator.comparison import Comparison
from presage_simulator.metrics import DEFINITIONS
from presage_simulator.pool_figures import sampled
from presage_simulator.runner import FAVOURED_SEED, Ran
from presage_simulator.scenario import RoutingSpec, Scenario, WorkloadSpec
from presage_simulator.statistics import Estimate, Metrics, estimates
from presage_simulator.stories import BIN_SECONDS, Story

from presage_cli.simulate import figures
from presage_cli.simulate.table import COLUMNS, FURTHER, Column, relative

TILES = 6
DECISIONS = 6  # that are told of the worst minute
COMPARED = ("replica_seconds", "ttft_p99_ms", "e2e_p99_ms", "slo_attainment")


def report_html(comparison: Comparison) -> str:
    """Return the whole page."""
    scenario = comparison.scenario
    runs = {
        name: next(ran for ran in rows if ran.task.seed == FAVOURED_SEED)
        for name, rows in comparison.shown().items()
    }
    promised = {
        each.name: scenario.objectives_of(each).ttft_milliseconds / 1000 for each in scenario.workloads
    }
    page = string.Template(resources.files(__package__).joinpath("report.html").read_text("utf-8"))
    return page.substitute(
        name=escape(scenario.name),
        description=escape(scenario.description),
        tiles=_tiles(comparison),
        promise=_promise(scenario),
        load=figures.load_figure(runs),
        replicas=figures.replicas_figure(comparison, runs),
        distributions=figures.distributions_figure(comparison, runs, promised),
        front=figures.front_figure(comparison),
        table=_table(comparison, COLUMNS),
        further=_table(comparison, FURTHER),
        paired=_paired(comparison),
        worst="".join(_worst(comparison, name, ran) for name, ran in runs.items()),
        settings=_settings(scenario),
        definitions="".join(
            f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in DEFINITIONS.items()
        ),
        seeds=_seeds(scenario),
    )


def _tiles(comparison: Comparison) -> str:
    tiles, rows = [], comparison.overall()
    colours = figures.colours_of(comparison)
    for name, told in list(rows.items())[:TILES]:
        means = estimates(told)
        attained, tail = Column("", "", 100, 2, " %"), Column("", "", 0.001, 2, " s")
        tiles.append(
            f'<div class="tile" style="border-top-color:{colours[name]}"><h3>{escape(name)}</h3>'
            f'<p class="big">{attained.shown(_plain(means["slo_attainment"]))}</p><p>within objectives</p>'
            f"<p><b>{tail.shown(_plain(means['ttft_p99_ms']))}</b> TTFT p99</p>"
            f"<p><b>{Column('', '').shown(_plain(means['replica_seconds']))}</b> replica-seconds"
            f"{_against(comparison, rows, name)}</p></div>"
        )
    return "".join(tiles)


def _against(comparison: Comparison, rows: Mapping[str, list[Metrics]], name: str) -> str:
    baseline = comparison.scenario.baseline
    if baseline is None or name == baseline or baseline not in rows:
        return ""
    change = relative(rows[name], rows[baseline], "replica_seconds").mean
    return "" if change is None else f" ({change:+.0f} %)"


def _promise(scenario: Scenario) -> str:
    told = []
    for workload in scenario.workloads:
        objectives = scenario.objectives_of(workload)
        told.append(
            f"<b>{escape(workload.name)}</b>: TTFT ≤ {objectives.ttft_milliseconds / 1000:g} s and "
            f"TPOT ≤ {objectives.tpot_milliseconds:g} ms for {objectives.percentile:g} % of requests"
        )
    return "; ".join(told)


def _table(comparison: Comparison, columns: tuple[Column, ...]) -> str:
    head = "".join(f"<th>{escape(column.heading)}</th>" for column in columns)
    rows = []
    for name, told in comparison.overall().items():
        means = estimates(told)
        cells = "".join(
            f"<td>{column.shown(means[column.metric]) if column.metric in means else 'none'}</td>"
            for column in columns
        )
        rows.append(f"<tr><th>{_named(comparison, name)}</th>{cells}</tr>")
    return f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _paired(comparison: Comparison) -> str:
    """Return the table of relative differences; a sentence where there is no baseline."""
    baseline, rows = comparison.scenario.baseline, comparison.overall()
    if baseline is None or baseline not in rows:
        return ""
    headings = {column.metric: column.heading for column in COLUMNS}
    head = "".join(f"<th>{escape(headings[metric])}</th>" for metric in COMPARED)
    body = []
    for name, told in rows.items():
        if name != baseline:
            change = Column("", "", 1, 1, " %")
            cells = "".join(
                f"<td>{change.shown(relative(told, rows[baseline], metric))}</td>" for metric in COMPARED
            )
            body.append(f"<tr><th>{_named(comparison, name)}</th>{cells}</tr>")
    return (
        f"<h2>Against {escape(baseline)}</h2><p class='soft'>Relative differences under the same requests, "
        "seed by seed.</p><div class='card scroll'><table><thead><tr><th></th>"
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _worst(comparison: Comparison, name: str, ran: Ran) -> str:
    """Tell a system's worst minute over all services, and what it decided then."""
    told = [(service, story, minute) for service, story in ran.stories.items()
            if (minute := story.worst_minute) is not None]  # fmt: skip
    heading = f"<h3>{_named(comparison, name)}</h3>"
    if not told:
        return f"<div class='card'>{heading}<p>Every request met its objectives.</p></div>"
    service, story, minute = max(told, key=lambda entry: entry[1].missed[entry[2]])
    return f"<div class='card'>{heading}{_minute(service, story, minute)}</div>"


def _minute(service: str, story: Story, minute: int) -> str:
    asked, ready = (int(v[0]) for v in sampled(story.replicas, np.array([(minute + 0.5) * BIN_SECONDS])))
    decisions = "".join(
        f"<li><time>{_clock(at)}</time> {decision.replicas}: {escape(decision.reason)}</li>"
        for at, decision in story.decisions_around(minute)[-DECISIONS:]
    )
    words = f"<ul class='decisions'>{decisions}</ul>" if decisions else "<p class='soft'>Nobody decides.</p>"
    tail = story.ttft_p95[minute]
    waited = f", TTFT p95 {tail:.1f} s" if tail == tail else ""  # noqa: PLR0124 - NaN: nothing finished
    return (
        f"<p><b>{_clock(minute * BIN_SECONDS)}</b>, {escape(service)}: {story.missed[minute]} of "
        f"{story.arrivals[minute]} requests missed{waited}; {ready} of {asked} replicas ready.</p>{words}"
    )


def _settings(scenario: Scenario) -> str:
    rows = []
    for system in scenario.systems:
        scaling, forecast = system.scaling, system.forecast
        cells = (
            "fixed" if scaling is None else _spelt(scaling.policy, scaling.parameters),
            "none" if forecast is None else forecast.model,
            _spelt(system.lengths.source, {"sigma": system.lengths.sigma} if system.lengths.sigma else {}),
            _routed(system.routing),
        )
        rows.append(
            f"<tr><th>{escape(system.name)}</th>{''.join(f'<td>{escape(c)}</td>' for c in cells)}</tr>"
        )
    head = "<thead><tr><th></th><th>scaler</th><th>forecast</th><th>lengths</th><th>routing</th></tr></thead>"
    return f"{head}<tbody>{''.join(rows)}</tbody>" + _loads(scenario)


def _routed(routing: RoutingSpec) -> str:
    asked = "all" if routing.bids == 0 else routing.bids
    return f"{routing.policy}, {asked} asked, {routing.binding.lower()} binding, {routing.order}"


def _loads(scenario: Scenario) -> str:
    return "".join(
        f"<tr><th>{escape(each.name)}</th><td colspan='4'>{escape(_source(each))}; engine "
        f"{escape(scenario.profile_of(each))}, {scenario.pool_of(each).min} to {scenario.pool_of(each).max} "
        f"replicas, cold start {scenario.pool_of(each).cold_start.p50_seconds:g} s (p90 "
        f"{scenario.pool_of(each).cold_start.p90_seconds:g} s)</td></tr>"
        for each in scenario.workloads
    )


def _source(workload: WorkloadSpec) -> str:
    lengths = workload.lengths.trace if workload.lengths is not None else None
    beside = f", lengths of {lengths}" if lengths else ""
    drawn = f" as {workload.process.kind} arrivals"
    if workload.trace is not None:
        return f"requests of {workload.trace.path}, {workload.rate_factor:g} times as fast"
    if workload.series is not None:
        rates = f"rates of {workload.series.path} ({workload.series.column})"
        return f"{rates} times {workload.rate_factor:g}{drawn}{beside}"
    return f"{workload.kind} rates times {workload.rate_factor:g}{drawn}{beside}"


def _seeds(scenario: Scenario) -> str:
    if scenario.seeds == 1:
        return "one seed, so without intervals"
    return f"{scenario.seeds} seeds; ± is the half-width of the 95 % confidence interval of the mean"


def _spelt(name: str, parameters: Mapping[str, object]) -> str:
    told = ", ".join(f"{key} {value}" for key, value in parameters.items())
    return f"{name} ({told})" if told else name


def _named(comparison: Comparison, name: str) -> str:
    colour = figures.colours_of(comparison)[name]
    return f'<i class="key" style="background:{colour}"></i>{escape(name)}'


def _clock(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _plain(estimate: Estimate) -> Estimate:
    """Return the mean without its interval, where there is no room for it."""
    return Estimate(estimate.mean, None)
