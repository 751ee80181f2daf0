"""Writes `report.html`: one page without any outside resource, in light and dark, with its charts inline."""

import string
from html import escape
from importlib import resources
from typing import Any

from presage_cli.demo import figures
from presage_cli.demo.plan import Plan
from presage_cli.demo.results import Run, result_document, verdict

Row = tuple[str, str, str]

FIGURES: tuple[Row, ...] = (
    ("slo_attainment", "requests within both objectives", "percent"),
    ("ttft_p50_ms", "TTFT p50", "ms"),
    ("ttft_p99_ms", "TTFT p99", "ms"),
    ("tpot_p99_ms", "TPOT p99", "ms"),
    ("e2e_p99_ms", "E2E p99", "ms"),
    ("replica_seconds", "replica-seconds", "plain"),
    ("peak_replicas", "peak replicas", "plain"),
    ("scale_ups", "scale-ups", "plain"),
    ("ready_before_needed", "ready before needed", "percent"),
    ("forecast_wape", "forecast error (WAPE), live", "percent"),
    ("forecast_coverage90", "forecast coverage at 90 %", "percent"),
    ("length_mae", "length error (MAE), tokens", "plain"),
    ("length_coverage90", "length coverage at 90 %", "percent"),
    ("requests", "requests", "plain"),
    ("failed", "failed", "plain"),
    ("lost", "lost", "plain"),
)


def report_html(run: Run) -> str:
    """Return the whole page."""
    document, plan = result_document(run), run.plan
    first, second = plan.service_names
    page = string.Template(resources.files(__package__).joinpath("report.html").read_text())
    return page.substitute(
        contrast=_contrast(plan),
        second_forecast=_FORECAST_LEGEND if plan.is_ablation else "",
        first=escape(first),
        second=escape(second),
        headline=_headline(document, run),
        verdict=_verdict(document, run),
        first_load=figures.load_chart(run, first),
        second_load=figures.load_chart(run, second),
        replicas=figures.replicas_chart(run),
        ttft=figures.ttft_chart(run),
        ttft_distribution=figures.distribution_chart(run, "ttft"),
        tpot_distribution=figures.distribution_chart(run, "tpot"),
        results=_results(document, run),
        scale_ups=_scale_ups(document, run),
        equal=_equal(run),
        definitions="".join(
            f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
            for name, text in document["definitions"].items()
        ),
        objective_ttft=f"{plan.objectives.ttft_milliseconds / 1000:g} s",
        objective_tpot=f"{plan.objectives.tpot_milliseconds} ms",
        scale=f"{plan.trace.scale:g}",
        trace=escape(plan.trace.name),
        capacity=f"{plan.capacity.total:,.0f}",
        late=f"p99 {run.sent_late_p99_ms:.1f} ms, at most {run.sent_late_max_ms:.1f} ms",
    )


_FORECAST_LEGEND = '<li><i style="background:var(--forecast)"></i>forecast</li>'


def _contrast(plan: Plan) -> str:
    if not plan.is_ablation:
        return "one scaled and routed by prediction, one by reaction"
    return (
        f"one scaled and routed by prediction, one the same {escape(plan.services[1].name.replace('-', ' '))}"
    )


def _headline(document: dict[str, Any], run: Run) -> str:
    tiles = []
    for service in run.plan.service_names:
        figures_of, css = document[service], figures.service_css(run, service)
        tiles.append(
            f'<div class="tile {css}"><h3>{escape(service)}</h3>'
            f'<p class="big">{shown(figures_of["slo_attainment"], "percent")}</p>'
            "<p>within both objectives</p>"
            f"<p><b>{shown(figures_of['ttft_p99_ms'], 'ms')}</b> TTFT p99 · "
            f"<b>{shown(figures_of['replica_seconds'], 'plain')}</b> replica-seconds</p></div>"
        )
    return "".join(tiles)


def _verdict(document: dict[str, Any], run: Run) -> str:
    faults = verdict(document, run.plan)
    if not faults:
        return ""
    return '<p class="warn">In this run, ' + "; ".join(map(escape, faults)) + ".</p>"


def _results(document: dict[str, Any], run: Run) -> str:
    rows = []
    for key, label, form in FIGURES:
        cells = "".join(f"<td>{shown(document[name][key], form)}</td>" for name in run.plan.service_names)
        rows.append(f"<tr><th>{escape(label)}</th>{cells}</tr>")
    return "".join(rows)


def _scale_ups(document: dict[str, Any], run: Run) -> str:
    rows = []
    for service in run.plan.service_names:
        css = figures.service_css(run, service)
        for up in document[service]["scale_up_details"]:
            times = "".join(
                f"<td>{_clock(run, up[key])}</td>"
                for key in ("at_seconds", "ready_seconds", "needed_seconds")
            )
            rows.append(
                f'<tr><th class="{css}">{escape(service)}</th><td>{up["from"]} → {up["to"]}</td>{times}'
                f"<td>{'in time' if up['in_time'] else 'late'}</td></tr>"
            )
    return "".join(rows) or '<tr><td colspan="6">none</td></tr>'


def _equal(run: Run) -> str:
    plan = run.plan
    policies = " and ".join(
        f"<b>{escape(each.name)}</b> scales by {each.scaling_policy} and routes by {each.routing_policy}"
        f" (forecast model {each.forecast_model}, length predictor {each.length_predictor})"
        for each in plan.services
    )
    return (
        f"{policies}. All else is one page of YAML for both: engine profile {escape(plan.profile)}, "
        f"{plan.min_replicas} to {plan.max_replicas} replicas, a decision every {plan.interval_seconds} s, "
        f"{plan.cold_start_seconds:g} s of emulated loading on top of a pod's real start, the same limits, "
        "the same scale-down behaviour. Every request goes to both at the same instant, from one load "
        "generator, open loop, each over a connection of its own."
    )


def _clock(run: Run, seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{seconds:.1f} s <small>({figures.trace_clock(run.plan, seconds)})</small>"


def shown(value: float | None, form: str) -> str:
    """Write a figure out: percent, ms, or a plain number; none when there is none."""
    if value is None:
        return "none"
    if form == "percent":
        return f"{value * 100:.1f} %"
    return f"{value:,.0f} ms" if form == "ms" else f"{value:,.0f}"
