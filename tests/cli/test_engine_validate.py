"""`presage engine validate` holds a profile against a run, and a shipped one against a real run."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from presage_cli.main import app
from presage_policies.engine import EngineRequest, serve_alone
from presage_policies.profiles import load_profile
from typer.testing import CliRunner, Result

SHARED = Path(os.environ.get("PRESAGE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
RUN = SHARED / "engine" / "vllm-run_rtxpro6000_llama31-8b.jsonl.gz"
META = SHARED / "engine" / "vllm-run_rtxpro6000_llama31-8b.meta.json"
PROFILE = "rtxpro6000-llama-3.1-8b"
BOOT = 5e5  # s, where a monotonic clock may stand


def validate(*arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["engine", "validate", *map(str, arguments)])


def modelled_run(slower: float = 1.0, sequences: int = 4) -> list[dict[str, Any]]:
    """Return a run as the profile itself would serve it, with every latency stretched by a factor."""
    profile = replace(load_profile(PROFILE), max_sequences=sequences)
    requests = [EngineRequest(f"r{i}", 0.05 * i, 200 + 40 * i, 1 + 3 * i) for i in range(12)]
    served = serve_alone(profile, requests)
    return [
        {
            "request_id": request.request_id,
            "input_toks": request.prompt_tokens,
            "output_toks": request.output_tokens,
            "arrival_time": 1.7e9 + request.arrival,
            "queued_ts": BOOT + request.arrival,
            "first_token_ts": BOOT + request.arrival + slower * (at.first_token - request.arrival),
            "last_token_ts": BOOT + request.arrival + slower * (at.last_token - request.arrival),
        }
        for request in requests
        for at in [served[request.request_id]]
    ]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write JSON lines, gzipped when the name says so."""
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_the_shared_real_run_is_reproduced(tmp_path: Path) -> None:
    """300 requests on vLLM 0.19: mean TTFT within 10 %, TPOT and E2E within 5 %, E2E p99 within 15 %."""
    if not RUN.exists():
        pytest.skip(f"the real run is not at {RUN}: set PRESAGE_SHARED_DATA to its folder")
    out = tmp_path / "errors.json"
    result = validate("--profile", PROFILE, "--run", RUN, "--meta", META, "--json", out)
    assert result.exit_code == 0, result.output
    errors = json.loads(out.read_text())
    assert errors["requests"] == 300
    assert abs(errors["ttft_mean_error"]) < 0.10
    assert abs(errors["tpot_mean_error"]) < 0.05
    assert abs(errors["e2e_mean_error"]) < 0.05
    assert abs(errors["e2e_p99_error"]) < 0.15
    assert errors["settings"]["max_sequences"] == 128
    assert {f"{a}_{b}_error" for a in ("ttft", "tpot", "e2e") for b in ("mean", "p50", "p99")} <= set(errors)


def test_errors_are_signed_fractions_of_the_real_value(tmp_path: Path) -> None:
    """Against a run whose latencies are a quarter longer than the model's, every error is 1/1.25 - 1."""
    run = write(tmp_path / "run.jsonl.gz", modelled_run(slower=1.25))
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"engine_kwargs": {"max_num_seqs": 4, "max_model_len": None}}))
    out = tmp_path / "errors.json"
    result = validate("--profile", PROFILE, "--run", run, "--meta", meta, "--json", out)
    assert result.exit_code == 0, result.output
    errors = json.loads(out.read_text())
    for latency in ("ttft", "tpot", "e2e"):
        for statistic in ("mean", "p50", "p99"):
            assert errors[f"{latency}_{statistic}_error"] == pytest.approx(-0.2, abs=1e-6)
        assert errors[f"{latency}_request_mape"] == pytest.approx(0.2, abs=1e-6)
    assert errors["settings"]["max_sequences"] == 4
    assert errors["profile"] == PROFILE


def test_the_runs_settings_matter(tmp_path: Path) -> None:
    """A run of four sequences at a time is met with its meta file, and without it the model is too fast."""
    run = write(tmp_path / "run.jsonl", modelled_run())
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"engine_kwargs": {"max_num_seqs": 4}}))
    found = {}
    for name, given in (("with", ["--meta", meta]), ("without", [])):
        out = tmp_path / f"{name}.json"
        assert validate("--profile", PROFILE, "--run", run, *given, "--json", out).exit_code == 0
        found[name] = json.loads(out.read_text())["ttft_mean_error"]
    assert found["with"] == pytest.approx(0, abs=1e-6)
    assert found["without"] < -0.1


def test_requests_that_did_not_end_are_told_and_left_out(tmp_path: Path) -> None:
    """A request without a last token counts as unfinished and changes no error."""
    lines = modelled_run(sequences=128)
    aborted = {**lines[-1], "request_id": "gone", "queued_ts": BOOT + 9, "last_token_ts": None}
    out = tmp_path / "errors.json"
    result = validate(
        "--profile", PROFILE, "--run", write(tmp_path / "run.jsonl", [*lines, aborted]), "--json", out
    )
    assert result.exit_code == 0, result.output
    errors = json.loads(out.read_text())
    assert (errors["requests"], errors["unfinished_requests"]) == (12, 1)
    assert errors["e2e_mean_error"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"input_toks": 0}, "input_toks is 0"),
        ({"output_toks": "many"}, "output_toks is 'many'"),
        ({"first_token_ts": "soon"}, "first_token_ts is 'soon'"),
        ({"queued_ts": None}, "queued_ts is missing"),
        ({"queued_ts": BOOT + 1e4}, "after first_token_ts"),
    ],
)
def test_a_bad_run_is_named(tmp_path: Path, change: dict[str, object], named: str) -> None:
    """A request that cannot be is refused with its file, line, field and value; clocks are never mixed."""
    run = write(tmp_path / "run.jsonl", [modelled_run()[3] | change])
    result = validate("--profile", PROFILE, "--run", run)
    assert result.exit_code == 2
    assert "line 1" in result.output
    assert named in result.output


def test_other_bad_files_are_named(tmp_path: Path) -> None:
    """A run that is no JSON or has no ended request, and settings that are no numbers, are refused."""
    no_json = tmp_path / "run.jsonl"
    no_json.write_text("first\n")
    assert "line 1 is not JSON" in validate("--profile", PROFILE, "--run", no_json).output
    empty = write(tmp_path / "empty.jsonl", [])
    assert "no request has" in validate("--profile", PROFILE, "--run", empty).output
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"engine_kwargs": {"max_num_seqs": "all"}}))
    run = write(tmp_path / "good.jsonl", modelled_run())
    assert "max_num_seqs is 'all'" in validate("--profile", PROFILE, "--run", run, "--meta", meta).output
    assert "not shipped" in validate("--profile", "tpu", "--run", run).output
