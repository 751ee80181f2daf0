"""The fit finds the coefficients that made the times, whatever kind of table they came in."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.engine import IterationCoefficients
from presage_policies.fitting import (
    AllReduce,
    Architecture,
    ClosedLoop,
    EngineLimits,
    Floats,
    KernelTables,
    OperationTables,
    Overhead,
    Samples,
    StaticBatches,
    architecture_from,
    architecture_of,
    fit_coefficients,
    iteration_terms,
    judged,
    kv_capacity,
    layer_samples,
    operation_samples,
    overhead,
    predicted,
    together,
)
from presage_policies.fitting.limits import occurrence

TRUE = IterationCoefficients(8e-3, 3e-5, -1e-5, 1e-7, 2e-9)
LIMITS = EngineLimits(kv_capacity_tokens=10**6, max_sequences=256, token_budget=2048)
KERNELS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
GRID = np.array([0.0, 4096.0])
NOTHING = (GRID, np.zeros(2))


def samples_of(c: IterationCoefficients) -> Samples:
    """Return a grid of iterations that take exactly what the coefficients say."""
    rows = LIMITS.grid()
    terms = iteration_terms(*rows.T)
    return Samples(terms, predicted(c, terms), occurrence(rows))


@given(
    st.tuples(
        st.floats(1e-3, 0.1),
        st.floats(1e-6, 1e-4),
        st.floats(-0.9, 3),
        st.floats(1e-9, 1e-6),
        st.floats(1e-10, 1e-8),
    )
)
@settings(max_examples=25, deadline=None)
def test_a_linear_engine_is_recovered(costs: tuple[float, float, float, float, float]) -> None:
    """From iterations made by known coefficients the fit returns those coefficients, without error."""
    fixed, token, share, kv, attention = costs
    true = IterationCoefficients(fixed, token, share * token, kv, attention)
    fit = fit_coefficients(samples_of(true))
    assert astuple(fit.coefficients) == pytest.approx(astuple(true), rel=1e-5)
    assert fit.error < 1e-9


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_no_cost_is_ever_negative(seed: int) -> None:
    """Whatever noise is measured, the fit is a time model: nothing costs less than no time."""
    rng = np.random.default_rng(seed)
    terms = iteration_terms(*LIMITS.grid()[::97].T)
    fit = fit_coefficients(Samples(terms, rng.uniform(1e-3, 1e-1, len(terms)), np.ones(len(terms))))
    fixed, token, sequence, kv, attention = astuple(fit.coefficients)
    assert fixed > 0
    assert min(token, token + sequence, kv, attention) >= 0


def kernel_tables(layers: int = 2, all_reduce: AllReduce | None = None) -> KernelTables:
    """Return per-layer tables (µs) of a device that takes exactly TRUE."""
    rows = np.array(
        [
            (chunk, context, decodes, each)
            for chunk in (0.0, 128.0, 1024.0)
            for context in (0.0, 1024.0)
            for decodes in (1.0, 8.0, 64.0)
            for each in (64.0, 2048.0)
        ]
    )
    terms = iteration_terms(*rows.T)
    attention = 1e6 / layers * (terms[:, 3] * TRUE.per_kv_token + terms[:, 4] * TRUE.per_prefill_attention)
    once = (GRID, 1e6 * (TRUE.fixed + (TRUE.per_token + TRUE.per_sequence) * GRID))
    shared = (GRID, 1e6 / layers * -TRUE.per_sequence * GRID)  # of prefilled tokens, as the sequences below
    back = (GRID, 1e6 * TRUE.per_sequence * GRID)
    dense = dict.fromkeys(KERNELS, NOTHING) | {"embedding": once, "down_proj": shared}
    return KernelTables(np.column_stack([rows, attention]), dense, {"lm_head": back}, layers, all_reduce)


def test_layers_make_iterations() -> None:
    """Kernels count once a layer, the norm twice, embedding and sampling once an iteration."""
    tables = kernel_tables()
    fit = fit_coefficients(layer_samples(tables, LIMITS))
    assert astuple(fit.coefficients) == pytest.approx(astuple(TRUE), rel=1e-6)
    with_norm = KernelTables(
        tables.attention, {**tables.dense, "layernorm": (GRID, np.full(2, 100.0))}, tables.per_sequence, 2
    )
    slower = fit_coefficients(layer_samples(with_norm, LIMITS)).coefficients
    assert slower.fixed - TRUE.fixed == pytest.approx(2 * 2 * 100e-6, rel=1e-6)


def test_layers_pay_for_tensor_parallelism() -> None:
    """Two all-reduces a layer are added, of so many elements a token."""
    line = (np.array([0.0, 1e9]), np.array([1e-5, 1e-5 + 1e-2]))
    plain, parallel = (
        layer_samples(kernel_tables(3, reduce), LIMITS) for reduce in (None, AllReduce({True: line}, 8192))
    )
    added = parallel.seconds - plain.seconds
    assert added == pytest.approx(2 * 3 * (1e-5 + plain.terms[:, 1] * 8192 * 1e-11))


def test_useless_tables_are_refused() -> None:
    """Tables of the wrong form, or of which nothing fits the engine, are refused with the reason."""
    with pytest.raises(ValueError, match="5 columns"):
        KernelTables(np.ones((3, 4)), dict.fromkeys(KERNELS, NOTHING), {}, 1)
    with pytest.raises(ValueError, match="no kernel 'qkv_proj'"):
        KernelTables(np.ones((3, 5)), {}, {}, 1)
    tiny = EngineLimits(kv_capacity_tokens=100, max_sequences=8, token_budget=32)
    with pytest.raises(ValueError, match="1 measured points"):
        fit_coefficients(layer_samples(kernel_tables(), tiny))
    with pytest.raises(ValueError, match="not a positive number"):
        Samples(np.ones((2, 5)), np.array([1.0, 0.0]), np.ones(2))
    with pytest.raises(ValueError, match="rows of 5"):
        Samples(np.ones((2, 4)), np.ones(2), np.ones(2))


SHAPE = Architecture(4, 64, 8, 4, 8, 128, 256)


def operation_tables(*, reduce: bool = True) -> OperationTables:
    """Return tables of a device at 1 TFLOP/s, 10⁹ tokens/s of KV and 10⁹ elements/s of all-reduce."""
    rows = np.array([1.0, 64.0, 4096.0])
    widths = (16, 64, 256, 512)
    gemm = {(n, k): (rows, 2 * n * k * rows * 1e-12) for n in widths for k in widths}
    tokens = np.array([1.0, 128.0, 2048.0, 16384.0])
    contexts = np.array([1.0, 16384.0])
    decode = {batch: (contexts, batch * contexts * 1e-9) for batch in (1, 8, 256)}
    line = (np.array([1.0, 1e9]), np.array([1e-9, 1.0]))
    return OperationTables(
        gemm, (tokens, tokens**2 * 1e-10), decode, {True: line, False: line} if reduce else None, 1e15
    )


def test_operations_make_iterations() -> None:
    """Products by their flops, attention by KV and prompt squared, interpolated between measured widths."""
    fit = fit_coefficients(operation_samples(operation_tables(), SHAPE, 1, LIMITS))
    flops = 2 * sum(n * k for n, k in SHAPE.projections) * SHAPE.layers
    assert fit.coefficients.per_token == pytest.approx(flops * 1e-12, rel=1e-2)
    assert fit.coefficients.per_kv_token == pytest.approx(SHAPE.layers * 1e-9, rel=1e-2)
    assert fit.coefficients.per_prefill_attention == pytest.approx(2 * SHAPE.layers * 1e-10, rel=1e-2)


def test_tensor_parallelism_divides_products_and_adds_an_all_reduce() -> None:
    """Two devices share a token's flops and pay two all-reduces a layer; without a table that is refused."""
    one, two = (
        fit_coefficients(operation_samples(operation_tables(), SHAPE, degree, LIMITS)).coefficients
        for degree in (1, 2)
    )
    reduced = SHAPE.layers * 2 * SHAPE.hidden * 1e-9
    assert two.per_token == pytest.approx(one.per_token / 2 + reduced, rel=2e-2)
    with pytest.raises(ValueError, match="all-reduce table"):
        operation_samples(operation_tables(reduce=False), SHAPE, 2, LIMITS)


def closed_loop(c: IterationCoefficients) -> ClosedLoop:
    """Return points of closed loops on an engine that takes exactly c while decoding."""
    shapes = [(n, p, o) for n in (1, 8, 32, 64) for p in (512, 2048, 4096) for o in (128, 1024)]
    clients, prompt, output = (np.array(column, dtype=float) for column in zip(*shapes, strict=True))
    ttft = c.fixed + c.per_token * prompt + c.per_sequence + c.per_prefill_attention * prompt**2 / 2
    tpot = np.full(len(shapes), 0.01)
    for _ in range(200):  # the share of prefills beside a decode depends on TPOT itself
        tpot = predicted(c, ClosedLoop(clients, prompt, output, ttft, tpot).decoding().terms)
    return ClosedLoop(clients, prompt, output, ttft, tpot)


def test_end_to_end_points_give_a_profile() -> None:
    """TPOT of closed loops and TTFT of lone clients hold all five coefficients."""
    points = closed_loop(TRUE)
    fit = fit_coefficients(together(points.decoding(), points.prefilling()))
    assert astuple(fit.coefficients) == pytest.approx(astuple(TRUE), rel=1e-4)


def test_end_to_end_points_give_the_overhead() -> None:
    """What the points take beyond the device's iterations is found: the host's part and a correction."""
    for true in (Overhead(2e-3, 3e-5), Overhead(1e-3), Overhead(0.0, 2e-5)):
        found = overhead(TRUE, closed_loop(true.added_to(TRUE)).decoding())
        assert astuple(found) == pytest.approx(astuple(true), abs=1e-8)
    corrected = Overhead(1e-3, 2e-5, -1e-5)
    found = overhead(TRUE, closed_loop(corrected.added_to(TRUE)).decoding(), correct_prefill=True)
    assert astuple(found) == pytest.approx(astuple(corrected), abs=1e-8)
    whole = overhead(TRUE, closed_loop(Overhead(1e-3, 2e-5).added_to(TRUE)).decoding(), step_only=True)
    assert whole.per_sequence == 0
    assert 1e-3 < whole.per_iteration < 1e-3 + 2e-5 * 64
    with pytest.raises(ValueError, match="no end-to-end point"):
        overhead(TRUE, closed_loop(TRUE).fits(10).decoding())


def test_a_host_is_never_faster_than_none() -> None:
    """When points are faster than the device's own time, no host time is found rather than a negative one."""
    faster = IterationCoefficients(4e-3, 3e-5, -1e-5, 1e-7, 2e-9)
    assert astuple(overhead(TRUE, closed_loop(faster).decoding())) == (0, 0, 0)


def test_points_that_overflow_the_cache_are_left_out() -> None:
    """Only points whose requests fit the KV cache all at once are of a steady decoding."""
    kept = closed_loop(TRUE).fits(8 * (4096 + 1024) / 0.95)
    assert kept.clients.max() > 8
    assert (kept.clients * (kept.prompt_tokens + kept.output_tokens) <= 8 * 5120).all()


def test_static_batches_give_a_profile() -> None:
    """Batches that are prefilled at once and decoded to the end hold the coefficients too."""
    shapes = [(b, p, 128) for b in (1, 4, 16) for p in (128, 512, 2048)]
    batch, prompt, output = (np.array(column, dtype=float) for column in zip(*shapes, strict=True))
    zeros = np.zeros(len(batch))
    prefill = np.stack([zeros + 1, batch * prompt, batch, zeros, batch * prompt**2 / 2], axis=1)
    decode = np.stack([zeros + 1, batch, batch, batch * (prompt + output / 2), zeros], axis=1)
    batches = StaticBatches(batch, prompt, output, predicted(TRUE, prefill), predicted(TRUE, decode))
    assert astuple(fit_coefficients(batches.samples()).coefficients) == pytest.approx(astuple(TRUE), rel=1e-6)


def test_errors_are_weighed_as_iterations_occur() -> None:
    """The stated errors are means by weight, of all points and of each kind."""
    terms = iteration_terms(*np.array([(0.0, 0.0, 1.0, 10.0), (100.0, 0.0, 0.0, 0.0)]).T)
    samples = Samples(terms, predicted(TRUE, terms) / np.array([1.1, 0.8]), np.array([0.75, 0.25]))
    fit = judged(TRUE, samples)
    assert fit.decode_error == pytest.approx(0.1)
    assert fit.prefill_error == pytest.approx(0.2)
    assert fit.error == pytest.approx(0.125)
    assert fit.words == "MAPE 12.5% weighted (10.0% decode only, 20.0% with prefill) over 2 points"


@given(st.integers(1, 200), st.integers(1, 200))
def test_occurrence_is_a_distribution(decodes: int, prefills: int) -> None:
    """Whatever a grid holds, the weights sum to one, and a prefill weighs as much as its chunk is large."""
    rows: Floats = np.zeros((decodes + prefills, 4))
    rows[:decodes, 2] = 1
    rows[decodes:, 0] = np.arange(1, prefills + 1)
    weights = occurrence(rows)
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] / weights[decodes] == pytest.approx(prefills)


def test_known_shapes_have_their_published_sizes() -> None:
    """Parameters and KV bytes of known models are those that their publishers state."""
    for name, billions, kv_bytes in (
        ("meta-llama/Llama-3.1-8B-Instruct", 8.03, 131_072),
        ("meta-llama/Llama-3.1-70B", 70.55, 327_680),
        ("Qwen/Qwen3-32B", 32.76, 262_144),
    ):
        shape = architecture_of(name)
        assert shape.weight_bytes("bfloat16") / 2e9 == pytest.approx(billions, abs=0.01)
        assert shape.kv_bytes() == kv_bytes
    with pytest.raises(ValueError, match="'gpt-2' is not known"):
        architecture_of("gpt-2")


def test_the_kv_capacity_is_what_the_weights_leave() -> None:
    """On 24 GB at 0.9 less weights and 1.69 GB, Llama-3.1-8B holds what vLLM had on an RTX 4090."""
    shape = architecture_of("llama-3.1-8b")
    memory = 24_564 * 2**20

    def capacity(degree: int, reserved: float = 1.69e9) -> int:
        return kv_capacity(
            shape,
            memory_bytes=memory,
            utilization=0.9,
            tensor_parallel=degree,
            weights="bfloat16",
            kv="bfloat16",
            reserved_bytes=reserved,
        )

    assert capacity(1) == pytest.approx(41_408, rel=5e-3)
    assert capacity(2) > 2 * capacity(1)
    with pytest.raises(ValueError, match="leave no KV cache"):
        capacity(1, reserved=9e9)


def test_a_bad_architecture_is_named() -> None:
    """A shape with a missing, unknown or impossible key is refused with the key."""
    good = {name: getattr(SHAPE, name) for name in SHAPE.__slots__}
    assert architecture_from(good, "a.yaml") == SHAPE
    with pytest.raises(ValueError, match="heads is 0"):
        architecture_from({**good, "heads": 0}, "a.yaml")
    with pytest.raises(ValueError, match="unknown key 'experts'"):
        architecture_from({**good, "experts": 8}, "a.yaml")
    with pytest.raises(ValueError, match=r"a\.yaml\.layers is missing"):
        architecture_from({key: value for key, value in good.items() if key != "layers"}, "a.yaml")
    with pytest.raises(ValueError, match="is list"):
        architecture_from([1], "a.yaml")
