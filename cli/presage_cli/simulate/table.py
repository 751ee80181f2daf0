"""The comparison as a table, for the terminal and for the report."""

from collections.abc import Sequence
from dataclasses import dataclass

from presage_simulator.comparison import Comparison
from presage_simulator.statistics import Estimate, Metrics, estimates, paired
from rich import box
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Column:
    """One figure: its metric, its heading, its factor, decimals and unit."""

    metric: str
    heading: str
    factor: float = 1.0
    decimals: int = 0
    unit: str = ""

    def shown(self, estimate: Estimate) -> str:
        """Write an estimate out: the mean and its interval's half-width."""
        if estimate.mean is None:
            return "none"
        mean = f"{estimate.mean * self.factor:,.{self.decimals}f}"
        if estimate.half_width is None:
            return f"{mean}{self.unit}"
        return f"{mean} ± {estimate.half_width * self.factor:,.{self.decimals}f}{self.unit}"


SECONDS = 0.001  # of a metric in milliseconds
COLUMNS = (
    Column("slo_attainment", "within SLO", 100, 2, " %"),
    Column("ttft_p50_ms", "TTFT p50", SECONDS, 2, " s"),
    Column("ttft_p99_ms", "TTFT p99", SECONDS, 2, " s"),
    Column("tpot_p99_ms", "TPOT p99", 1, 1, " ms"),
    Column("e2e_p99_ms", "E2E p99", SECONDS, 1, " s"),
    Column("queue_seconds_p99", "queue p99", 1, 2, " s"),
    Column("replica_seconds", "replica-seconds"),
    Column("mean_replicas", "replicas", 1, 2),
    Column("failed", "failed"),
)
FURTHER = (
    Column("goodput", "goodput", 1, 3, " req/s"),
    Column("smooth_goodput", "smooth goodput", 1, 0, " tokens/s"),
    Column("normalised_latency", "E2E per output token", 1000, 1, " ms"),
    Column("preemptions", "preemptions"),
    Column("kv_use", "KV use", 100, 1, " %"),
    Column("imbalance", "imbalance", 1, 2),
    Column("scale_ups", "scale-ups", 1, 1),
    Column("ready_before_needed", "ready before needed", 100, 0, " %"),
    Column("wasted_replica_seconds", "wasted replica-seconds"),
    Column("missing_replica_seconds", "missing replica-seconds"),
)


def terminal_table(comparison: Comparison) -> Table:
    """Return the compact table that the command prints."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("system", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for name, figures in comparison.overall().items():
        told = estimates(figures)
        table.add_row(name, *(column.shown(told[column.metric]) for column in COLUMNS))
    return table


def relative(figures: Sequence[Metrics], baseline: Sequence[Metrics], metric: str) -> Estimate:
    """Return the relative paired difference of one metric, in per cent."""
    told = paired(figures, baseline)[metric]["relative"]
    return Estimate(
        None if told.mean is None else told.mean * 100,
        None if told.half_width is None else told.half_width * 100,
    )
