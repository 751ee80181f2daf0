"""The engine model against a real vLLM run that it was not fitted to."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from presage_policies.engine import Batch, EngineRequest
from presage_policies.profiles import load_profile

SHARED = Path(os.environ.get("PRESAGE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
RUN = SHARED / "engine" / "vllm-run_rtxpro6000_llama31-8b.jsonl.gz"


def test_a_real_run_is_reproduced() -> None:
    """300 ShareGPT requests on vLLM 0.19: mean TTFT within 8 %, TPOT and end to end within 4 %."""
    if not RUN.exists():
        pytest.skip(f"the real run is not at {RUN}: set PRESAGE_SHARED_DATA to its folder")
    with gzip.open(RUN, "rt") as file:
        real = sorted((json.loads(line) for line in file), key=lambda r: r["queued_ts"])
    begin = real[0]["queued_ts"]
    batch, now, added = Batch(load_profile("rtxpro6000-llama-3.1-8b")), 0.0, 0
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    while len(last) < len(real):
        while added < len(real) and real[added]["queued_ts"] - begin <= now:
            r = real[added]
            batch.add(EngineRequest(r["request_id"], r["queued_ts"], r["input_toks"], r["output_toks"]))
            added += 1
        iteration = batch.begin(now)
        if iteration is None:
            now = real[added]["queued_ts"] - begin
            continue
        now += iteration.seconds
        result = batch.complete(iteration)
        first |= dict.fromkeys(result.first_tokens, now)
        last |= dict.fromkeys(result.finished, now)
    model = np.array([(first[r["request_id"]], last[r["request_id"]]) for r in real])
    truth = np.array([(r["first_token_ts"] - begin, r["last_token_ts"] - begin) for r in real])
    queued = np.array([r["queued_ts"] - begin for r in real])
    steps = np.array([max(1, r["output_toks"] - 1) for r in real])
    for measure, bound in (
        (lambda t: t[:, 0] - queued, 0.08),
        (lambda t: (t[:, 1] - t[:, 0]) / steps, 0.04),
        (lambda t: t[:, 1] - queued, 0.04),
    ):
        assert measure(model).mean() == pytest.approx(measure(truth).mean(), rel=bound)
