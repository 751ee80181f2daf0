"""How far a profile is from a real run: the same arrivals and lengths, served by the engine model."""

from dataclasses import dataclass

import numpy as np
from presage_policies.engine import EngineProfile, EngineRequest, serve_alone
from presage_policies.fitting import Floats

from presage_cli.engine.runs import MeasuredRequest, Run


@dataclass(frozen=True, slots=True)
class LatencyError:
    """One latency, real and modelled, and how the model errs: signed fractions of the real value.

    `request_mape` is the mean over requests of the absolute relative error.
    """

    name: str
    real: dict[str, float]
    modelled: dict[str, float]
    request_mape: float

    def error(self, statistic: str) -> float:
        """Return model over real, less one."""
        return self.modelled[statistic] / self.real[statistic] - 1


STATISTICS = ("mean", "p50", "p99")


def validate_profile(profile: EngineProfile, run: Run) -> tuple[LatencyError, ...]:
    """Replay a run's arrivals and lengths and return the errors of TTFT, TPOT and E2E.

    TTFT and E2E count from the request's arrival at the engine. Requests of one token have no TPOT.
    """
    begin = run.requests[0].arrival
    ids = [f"{number}:{request.request_id}" for number, request in enumerate(run.requests)]
    served = serve_alone(
        profile,
        [
            EngineRequest(name, request.arrival - begin, request.prompt_tokens, request.output_tokens)
            for name, request in zip(ids, run.requests, strict=True)
        ],
    )
    model = np.array([(served[name].first_token, served[name].last_token) for name in ids])
    real = np.array([(request.first_token - begin, request.last_token - begin) for request in run.requests])
    return tuple(
        _error(name, measured, modelled)
        for (name, measured), (_, modelled) in zip(
            _latencies(real, run.requests, begin), _latencies(model, run.requests, begin), strict=True
        )
        if len(measured)
    )


def _latencies(
    tokens: Floats, requests: tuple[MeasuredRequest, ...], begin: float
) -> tuple[tuple[str, Floats], ...]:
    arrival = np.array([request.arrival - begin for request in requests])
    steps = np.array([request.output_tokens - 1 for request in requests])
    several = steps > 0
    return (
        ("ttft", tokens[:, 0] - arrival),
        ("tpot", (tokens[several, 1] - tokens[several, 0]) / steps[several]),
        ("e2e", tokens[:, 1] - arrival),
    )


def _error(name: str, real: Floats, modelled: Floats) -> LatencyError:
    apart = np.abs(modelled / np.maximum(real, np.finfo(float).tiny) - 1)
    return LatencyError(name, _statistics(real), _statistics(modelled), float(apart.mean()))


def _statistics(values: Floats) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "p50": float(np.percentile(values, 50)),
        "p99": float(np.percentile(values, 99)),
    }
