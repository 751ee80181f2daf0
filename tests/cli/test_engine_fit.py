"""`presage engine fit` makes profiles from tables of any known form, and made the shipped ones."""

import csv
import gzip
import importlib.util
import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from presage_cli.main import app
from presage_policies.engine import EngineProfile, decode_seconds, prefill_seconds
from presage_policies.profiles import load_profile, shipped_profiles
from typer.testing import CliRunner, Result

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("PRESAGE_SHARED_DATA", ROOT.parent / "shared" / "data"))
SHAPE = {
    "layers": 2,
    "hidden": 512,
    "heads": 8,
    "kv_heads": 4,
    "head_dim": 64,
    "intermediate": 1024,
    "vocabulary": 1000,
}


def fit(output: Path, *arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["engine", "fit", *map(str, arguments), "-o", str(output)])


def write(path: Path, columns: str, rows: Iterable[Sequence[object]]) -> Path:
    """Write a table, gzipped when its name says so."""
    with io.StringIO() as text:
        csv.writer(text).writerows([columns.split(","), *rows])
        content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def layer_tables(folder: Path, stem: str, ending: str = ".csv") -> list[Path]:
    """Write per-layer tables of a device that takes 20 µs a layer and 1 µs for each token in it."""
    folder.mkdir(exist_ok=True)
    attention = [
        (chunk, decodes, each, 1 + 0.001 * decodes * each + 0.0001 * chunk**2)
        for chunk in (0, 64, 512)
        for decodes in (0, 1, 8, 64)
        for each in (16, 256, 1024)
        if chunk + decodes
    ]
    kernels = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
    dense = [(kernel, tokens, 5 + 0.25 * tokens) for kernel in kernels for tokens in (1, 1024)]
    sampling = [("lm_head", count, 100) for count in (1, 256)]
    return [
        write(folder / f"{stem}_a{ending}", "prefill_chunk,n_decode,kv_decode,time_us", attention),
        write(folder / f"{stem}_d{ending}", "layer,tokens,time_us", dense),
        write(folder / f"{stem}_s{ending}", "layer,sequences,time_us", sampling),
    ]


@pytest.fixture(scope="module")
def recipes() -> ModuleType:
    """Return the script that refits the shipped profiles."""
    if not (SHARED / "engine" / "silicon.csv").exists():
        pytest.skip(f"the measured tables are not in {SHARED / 'engine'}: set PRESAGE_SHARED_DATA")
    spec = importlib.util.spec_from_file_location("refit", ROOT / "benchmarks" / "profiles" / "refit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["refit"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_are_the_fit(recipes: ModuleType, name: str) -> None:
    """Fitting the measured tables again gives each shipped profile: limits, source, error, coefficients."""
    fitted: EngineProfile = recipes.a100_profile() if name == recipes.A100 else recipes.recipe_profile(name)
    shipped = load_profile(name)
    again, there = asdict(fitted), asdict(shipped)
    assert there.pop("coefficients") == pytest.approx(again.pop("coefficients"), rel=1e-4)
    for field in ("host_seconds", "host_seconds_per_sequence"):
        assert there.pop(field) == pytest.approx(again.pop(field), rel=1e-4, abs=1e-12)
    assert there == again


def test_layers_of_any_name_need_no_meta_file(tmp_path: Path) -> None:
    """Plain tables without kv_prefill and meta file make a profile from flags; the written file loads."""
    out = tmp_path / "p.yaml"
    tables = layer_tables(tmp_path / "t", "mine")
    result = fit(out, *tables, "--layers", "10", "--kv-capacity-tokens", "65536", "--host-ms", "1.5")
    assert result.exit_code == 0, result.output
    profile = load_profile(out)
    one_layer = 21e-6 + 1e-6  # four kernels of 5 µs, attention, a token
    assert decode_seconds(profile, 1, 16) == pytest.approx(10 * one_layer + 100e-6 + 1.5e-3, rel=0.05)
    assert prefill_seconds(profile, 512) == pytest.approx(10 * 560e-6 + 100e-6 + 1.5e-3, rel=0.1)
    assert (profile.kv_capacity_tokens, profile.host_seconds) == (65536, 1.5e-3)
    assert "MAPE" in profile.fit_error


def test_a_meta_file_beside_the_tables_is_used(tmp_path: Path) -> None:
    """Model, memory and limits come from the meta file named like the tables, gzipped or not; flags win."""
    out = tmp_path / "p.yaml"
    tables = layer_tables(tmp_path / "t", "box_llama_tp1", ".csv.gz")
    meta = {
        "model": "meta-llama/Llama-3.1-8B",
        "gpu": "NVIDIA GeForce RTX 4090",
        "engine_effective": {
            "max_num_seqs": 32,
            "max_num_batched_tokens": 1024,
            "gpu_memory_utilization": 0.9,
        },
    }
    (tmp_path / "t" / "box_llama_meta.yaml").write_text(yaml.safe_dump(meta))
    assert fit(out, *tables, "--max-sequences", "48").exit_code == 0
    profile = load_profile(out)
    assert (profile.token_budget, profile.max_sequences) == (1024, 48)
    assert profile.kv_capacity_tokens == pytest.approx(41_408, rel=5e-3)


def test_degrees_are_told_apart(tmp_path: Path) -> None:
    """Of two tensor-parallel degrees one must be chosen, and one without all-reduce is warned of."""
    out = tmp_path / "p.yaml"
    layer_tables(tmp_path / "t", "gpu_tp1")
    layer_tables(tmp_path / "t", "gpu_tp2")
    flags = ("--model", "llama-3.1-8b", "--kv-capacity-tokens", "65536")
    both = fit(out, tmp_path / "t", *flags)
    assert both.exit_code == 2
    assert "degrees 1, 2: choose one with --tp" in both.output
    alone = fit(out, tmp_path / "t", *flags, "--tp", "2")
    assert alone.exit_code == 0
    assert "no all-reduce" in alone.output
    silent = decode_seconds(load_profile(out), 1, 16)
    reduce = write(
        tmp_path / "r.csv", "num_gpus,message_size,latency", [(2, 128, 0.05), (2, 10**8, 0.05), (4, 128, 9)]
    )
    told = fit(out, tmp_path / "t", reduce, *flags, "--tp", "2")
    assert "no all-reduce" not in told.output
    by_table = decode_seconds(load_profile(out), 1, 16)
    flagged = fit(out, tmp_path / "t", *flags, "--tp", "2", "--all-reduce-us", "50")
    assert "no all-reduce" not in flagged.output
    assert decode_seconds(load_profile(out), 1, 16) == pytest.approx(by_table, rel=1e-4)
    assert decode_seconds(load_profile(out), 1, 16) - silent == pytest.approx(2 * 32 * 50e-6, rel=1e-3)


def test_operations_and_points_make_a_profile(tmp_path: Path) -> None:
    """Single operations and a shape from YAML give the device's time, points beside them the host's."""
    shape = tmp_path / "shape.yaml"
    shape.write_text(yaml.safe_dump(SHAPE))
    widths = (256, 1024, 2048)
    gemm = [(m, n, k, 1e-9 * m * n * k / 1e3 + 0.01) for m in (1, 512, 4096) for n in widths for k in widths]
    context = [(1, i, 0, 8, 4, 64, 0.001 + 1e-9 * i * i) for i in (1, 256, 4096)]
    generation = [(b, 1, s, 8, 4, 64, 0.001 + 1e-8 * b * s) for b in (1, 64, 256) for s in (1, 16384)]
    attention = "batch_size,isl,step,num_heads,num_key_value_heads,head_dim,latency"
    tables = [
        write(tmp_path / "products.csv", "m,n,k,latency,gemm_dtype", [(*row, "float16") for row in gemm]),
        write(tmp_path / "context.csv", attention, context),
        write(tmp_path / "generation.csv", attention, generation),
    ]
    flags = ("--architecture", shape, "--kv-capacity-tokens", "400000", "--model", "toy")
    out = tmp_path / "device.yaml"
    assert fit(out, *tables, *flags, "--host-ms", "0").exit_code == 0
    device = load_profile(out)
    points = [
        ("agg", "toy", 512, 256, 1, c, 20.0, 1e3 * (decode_seconds(device, c, c * 640) + 3e-3))
        for c in (1, 2)
    ]
    columns = "mode,model_path,isl,osl,tp_size,batch_size,silicon_ttft_ms,silicon_tpot_ms"
    found = fit(out, *tables, write(tmp_path / "points.csv", columns, [*points, points[0]]), *flags)
    assert found.exit_code == 0, found.output
    assert found.output.count("clients") == 2  # the duplicate is dropped
    whole = load_profile(out)
    assert whole.host_seconds + whole.host_seconds_per_sequence == pytest.approx(3e-3, rel=0.1)


def test_points_and_batches_alone_make_a_profile(tmp_path: Path) -> None:
    """End-to-end points, or static batches, make a profile without any kernel's time."""
    flags = ("--kv-capacity-tokens", "1000000", "--model", "toy")
    points = [
        (
            "toy",
            "h1",
            p,
            o,
            1,
            c,
            10 + 0.05 * p,
            8 + 0.1 * c + 1e-4 * c * (p + o / 2) + 0.05 * p * (c - 1) / o,
        )
        for c in (1, 4, 16)
        for p in (256, 2048)
        for o in (512, 1024)
    ]
    columns = "model_path,system,isl,osl,tp_size,batch_size,silicon_ttft_ms,silicon_tpot_ms"
    out = tmp_path / "p.yaml"
    assert fit(out, write(tmp_path / "points.csv", columns, points), *flags).exit_code == 0
    assert decode_seconds(load_profile(out), 16, 16 * 1000) == pytest.approx(11.2e-3, rel=0.1)
    batches = [
        ("toy", "g", p, b, 128, 10 + 0.05 * p * b, 8 + 0.1 * b + 1e-4 * b * (p + 64))
        for b in (1, 4, 16)
        for p in (128, 512)
    ]
    columns = "model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time"
    assert fit(out, write(tmp_path / "batches.csv", columns, batches), *flags).exit_code == 0
    assert decode_seconds(load_profile(out), 16, 16 * 1000) == pytest.approx(11.2e-3, rel=0.02)
    assert prefill_seconds(load_profile(out), 512) == pytest.approx(35.6e-3, rel=0.05)


def test_bad_tables_are_named(tmp_path: Path) -> None:
    """What is wrong is told with file, column, value and fix, and nothing is written."""
    out = tmp_path / "p.yaml"
    attention, dense, sampling = layer_tables(tmp_path / "t", "x")
    flags = ("--layers", "4", "--kv-capacity-tokens", "65536")

    def reason(*arguments: str | Path) -> str:
        result = fit(out, *arguments)
        assert result.exit_code == 2
        assert not out.exists()
        return " ".join(result.output.split())

    broken = write(tmp_path / "b.csv", "layer,tokens,time_us", [("qkv_proj", 1, "fast")])
    assert "b.csv: column 'time_us' has 'fast' in data row 1: give a number" in reason(
        attention, broken, *flags
    )
    unknown = write(tmp_path / "u.csv", "a,b", [(1, 2)])
    assert "u.csv: its columns are a, b: a table has" in reason(unknown)
    assert "no table of dense times" in reason(attention, sampling, *flags)
    assert "times, which make no iteration" in reason(dense, *flags)
    assert "do not name their model" in reason(attention, dense)
    assert "give --kv-capacity-tokens, or --memory-gib" in reason(attention, dense, "--model", "llama-3.1-8b")
    assert "--tp is 5, which does not divide 32 heads" in reason(
        attention, dense, "--model", "llama-3.1-8b", "--tp", "5", "--memory-gib", "80"
    )
    assert "--dtype is 'int1'" in reason(attention, dense, *flags, "--dtype", "int1")
    assert "--layers is -1" in reason(attention, dense, "--layers", "-1")
    assert "both have attention times" in reason(attention, attention, dense, *flags)
    assert "cannot be read" in reason(tmp_path / "none.csv")
    empty = write(tmp_path / "e.csv", "layer,tokens,time_us", [])
    assert "e.csv: the table has no rows" in reason(empty)
