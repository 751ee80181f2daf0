"""Fates of requests made by hand."""

import numpy as np
from presage_simulator.metrics import Fates


def fates_of(requests: int, late: float) -> Fates:
    """Return requests of which a share is late; TTFTs spread over a decade."""
    ttft = np.geomspace(0.1, 1.0, requests)
    ttft[: round(late * requests)] = 3.0
    return Fates(
        ttft=ttft,
        tpot=np.full(requests, 0.02),
        e2e=ttft + 1.0,
        queue=ttft / 2,
        met=ttft <= 1.0,
        output_tokens=np.full(requests, 51, np.int32),
        ttft_objective=np.full(requests, 1.0),
        tpot_objective=np.full(requests, 0.05),
        preemptions=0,
    )
