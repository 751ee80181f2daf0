"""A validation as JSON and as lines on a terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

from presage_policies.engine import EngineProfile

from presage_cli.engine.runs import Run
from presage_cli.engine.validation import STATISTICS, LatencyError


def as_mapping(profile: EngineProfile, run: Run, errors: Sequence[LatencyError]) -> dict[str, Any]:
    """Return the errors as signed fractions of the real value, and what they were found with."""
    signed = {
        f"{latency.name}_{statistic}_error": latency.error(statistic)
        for latency in errors
        for statistic in STATISTICS
    }
    return {
        **signed,
        **{f"{latency.name}_request_mape": latency.request_mape for latency in errors},
        "real_seconds": {latency.name: latency.real for latency in errors},
        "model_seconds": {latency.name: latency.modelled for latency in errors},
        "requests": len(run.requests),
        "unfinished_requests": run.unfinished,
        "profile": profile.name,
        "settings": {
            "max_sequences": profile.max_sequences,
            "token_budget": profile.token_budget,
            "kv_capacity_tokens": profile.kv_capacity_tokens,
            "block_tokens": profile.block_tokens,
            "tensor_parallel": profile.tensor_parallel,
        },
    }


def as_lines(profile: EngineProfile, run: Run, errors: Sequence[LatencyError]) -> Iterator[str]:
    """Yield a headline and a table: means, errors of mean, p50 and p99, and the mean error of a request."""
    yield (
        f"{profile.name}, {len(run.requests)} requests: at most {profile.max_sequences} sequences, "
        f"{profile.token_budget} tokens an iteration, {profile.kv_capacity_tokens} tokens of KV"
    )
    if run.unfinished:
        yield f"{run.unfinished} requests of the run did not end and are left out"
    heads = "".join(f"{statistic:>9}" for statistic in STATISTICS)
    yield f"{'':6}{'real mean':>12}{'model mean':>12}{heads}{'MAPE':>9}"
    for latency in errors:
        signed = "".join(f"{latency.error(statistic):>+9.1%}" for statistic in STATISTICS)
        yield (
            f"{latency.name.upper():6}{latency.real['mean']:>11.4f}s{latency.modelled['mean']:>11.4f}s"
            f"{signed}{latency.request_mape:>9.1%}"
        )
