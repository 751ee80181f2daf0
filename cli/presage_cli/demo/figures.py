"""The report's charts, each made from one run: load and capacity, replicas, latencies."""

from datetime import UTC, datetime, timedelta

from presage_cli.demo.charts import Axis, Chart, decades, nice_ticks
from presage_cli.demo.plan import SECONDS_PER_DAY, Plan
from presage_cli.demo.results import Run, percentile
from presage_cli.demo.scaleups import instances_needed
from presage_cli.demo.timeline import Step, value_at

SERIES_BEGINS = datetime(2024, 5, 10, tzinfo=UTC)  # the shape's first window
THOUSAND = 1000.0
TAIL = 95  # a window holds a few dozen requests: a higher percentile would be its maximum


def trace_clock(plan: Plan, at: float, form: str = "%H:%M") -> str:
    """Return the original trace's clock at `at` seconds of the replay."""
    seconds = plan.trace.first_window * plan.trace.window_seconds + at * plan.trace.scale
    return (SERIES_BEGINS + timedelta(seconds=seconds)).strftime(form)


def load_chart(run: Run, service: str) -> str:
    """Draw offered load, the operator's forecast and ready capacity, in thousands of tokens/s."""
    plan, line = run.plan, run.timeline.services[service]
    starts = _window_starts(plan)
    offered = [
        (start, rate / THOUSAND) for start, rate in zip(starts, run.offered_tokens_per_second, strict=True)
    ]
    each = plan.capacity.total / THOUSAND
    ready = [(at, count * each) for at, count in _steps(line.ready, run)]
    forecast = [(at - run.starts_at, rate / THOUSAND) for at, rate in line.forecast]
    forecast = [(at, rate) for at, rate in forecast if 0 <= at <= plan.replay_seconds]
    top = _top_rate(run) / THOUSAND
    chart = Chart(
        f"{service}: load, forecast and ready capacity", _time_axis(plan), _linear(top, "1,000 tokens/s")
    )
    chart.area(offered, "load", "offered load")
    fine = _fine(plan)
    chart.between(
        [(at, _at(ready, at)) for at in fine],
        [(at, _at(offered, at)) for at in fine],
        "short",
        "load beyond ready capacity",
    )
    if plan.service(service).scaling_policy == "PreServe":
        chart.line(forecast, "forecast", "forecast that the operator sizes by")
    chart.steps(ready, service_css(run, service), "capacity of the pods that were ready")
    return chart.svg()


def replicas_chart(run: Run) -> str:
    """Draw the pods that were ready, for both, over the instances that the load needed."""
    plan = run.plan
    needed = instances_needed(run.load, plan.capacity.total)
    chart = Chart(
        "ready replicas and instances needed",
        _time_axis(plan),
        Axis(0, plan.max_replicas + 0.3, range(plan.max_replicas + 1), "replicas"),
    )
    chart.area(list(zip(_window_starts(plan), map(float, needed), strict=True)), "load", "needed by the load")
    for offset, service in zip((0.03, -0.03), plan.service_names, strict=True):
        line, css = run.timeline.services[service], service_css(run, service)
        chart.steps(
            [(at, n + offset) for at, n in _steps(line.asked, run)], f"{css} faint", f"{service}: asked for"
        )
        chart.steps([(at, n + offset) for at, n in _steps(line.ready, run)], css, f"{service}: ready")
    return chart.svg()


def ttft_chart(run: Run) -> str:
    """Draw the median and the 95th percentile of TTFT in each window, for both."""
    plan, objective = run.plan, run.plan.objectives.ttft_milliseconds
    series = {
        (service, percent): _by_window(run, service, percent)
        for service in plan.service_names
        for percent in (50, TAIL)
    }
    values = [value for points in series.values() for _, value in points] or [objective]
    low, high = min(50.0, *values), max(2.0 * objective, *values)
    axis = Axis(low, high, decades(low, high), "TTFT", _milliseconds, log=True)
    chart = Chart("time to first token over time", _time_axis(plan), axis)
    chart.rule(objective, "objective", f"objective {objective / 1000:g} s")
    for (service, percent), points in series.items():
        css = service_css(run, service)
        chart.line(points, css if percent == TAIL else f"{css} faint", f"{service}: p{percent}")
        if percent == TAIL:
            chart.dots(points, css, lambda at, value: f"{trace_clock(plan, at)}: {value:.0f} ms")
    return chart.svg()


def distribution_chart(run: Run, metric: str) -> str:
    """Draw the share of completed requests that took longer, for both; `metric` is ttft or tpot."""
    objective = getattr(run.plan.objectives, f"{metric}_milliseconds")
    values = {
        service: sorted(
            value
            for record in run.records_of(service)
            if (value := getattr(record, f"{metric}_ms")) is not None
        )
        for service in run.plan.service_names
    }
    everything = [value for each in values.values() for value in each] or [float(objective)]
    low, high = max(1.0, min(everything)), max(objective * 1.3, *everything)
    x = Axis(low, high, decades(low, high), metric.upper(), _milliseconds, log=True)
    y = Axis(
        0.001, 1, (0.001, 0.01, 0.1, 1), "requests that took longer", lambda v: f"{v * 100:g} %", log=True
    )
    chart = Chart(f"distribution of {metric.upper()}", x, y)
    chart.upright(objective, "objective", f"objective {_milliseconds(objective)}")
    for service, ordered in values.items():
        points = [(value, 1 - index / len(ordered)) for index, value in enumerate(ordered)]
        chart.line(points, service_css(run, service), service)
    return chart.svg()


def _top_rate(run: Run) -> float:
    """Return what both load charts must reach, in tokens/s, so that they share one scale."""
    lines = run.timeline.services.values()
    ready = [value for line in lines for _, value in _steps(line.ready, run)]
    forecasts = [rate for line in lines for at, rate in line.forecast if run.starts_at <= at <= run.ends_at]
    capacity = max(ready) * run.plan.capacity.total
    return 1.05 * max(capacity, *run.offered_tokens_per_second, *forecasts)


def service_css(run: Run, service: str) -> str:
    """Return the CSS class of a service's colour."""
    return "first" if service == run.plan.service_names[0] else "second"


def _by_window(run: Run, service: str, percent: float) -> list[tuple[float, float]]:
    """Percentile of TTFT of the requests that arrived in each window, at the window's middle."""
    size = run.plan.window_seconds
    groups: dict[int, list[float]] = {}
    for record in run.records_of(service):
        if record.ttft_ms is not None:
            groups.setdefault(int(record.at // size), []).append(record.ttft_ms)
    found = ((window, percentile(values, percent)) for window, values in sorted(groups.items()))
    return [((window + 0.5) * size, value) for window, value in found if value is not None]


def _time_axis(plan: Plan) -> Axis:
    hour = SECONDS_PER_DAY / 24 / plan.trace.scale
    first = (-plan.trace.first_window * plan.window_seconds) % hour
    ticks = []
    while first <= plan.replay_seconds:
        ticks.append(first)
        first += hour
    label = f"time of day in the trace (UTC); {hour:g} s of the replay an hour"
    return Axis(0, plan.replay_seconds, ticks, label, lambda at: trace_clock(plan, at))


def _linear(high: float, label: str) -> Axis:
    ticks = nice_ticks(high)
    return Axis(0, ticks[-1], ticks, label)


def _window_starts(plan: Plan) -> list[float]:
    return [index * plan.window_seconds for index in range(plan.trace.windows)]


def _steps(steps: list[Step], run: Run) -> list[tuple[float, float]]:
    """Return the steps within the part that counts, in its seconds, with the value that held at its start."""
    inside = [step for step in steps if run.starts_at < step.at <= run.ends_at]
    start = (0.0, float(value_at(steps, run.starts_at)))
    return [start, *((step.at - run.starts_at, float(step.value)) for step in inside)]


def _fine(plan: Plan) -> list[float]:
    """Half seconds: fine enough to show when capacity fell short within a window."""
    return [index / 2 for index in range(round(plan.replay_seconds * 2))]


def _at(points: list[tuple[float, float]], at: float) -> float:
    current = points[0][1]
    for x, value in points:
        if x > at:
            break
        current = value
    return current


def _milliseconds(value: float) -> str:
    return f"{value / 1000:g} s" if value >= THOUSAND else f"{value:g} ms"
