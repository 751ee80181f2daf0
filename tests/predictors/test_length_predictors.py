"""The text tier and the combination: capped, private, able to learn a model from some requests."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.lengths import WIRE_LEVELS, RequestFeatures
from presage_predictors import tensors
from presage_predictors.lengths import artefact, tiers
from presage_predictors.lengths.artefact import ArtefactError
from presage_predictors.lengths.combined import CombinedLengthPredictor
from presage_predictors.lengths.explanation import explanation
from presage_predictors.lengths.fast.network import WORD_WIDTH, FastTower, Weights
from presage_predictors.lengths.law import READING
from presage_predictors.lengths.predictor import TextLengthPredictor
from presage_predictors.lengths.text import SIGNALS, WORD_ROWS, read

GOLDEN = Path(__file__).with_name("length_golden.json")
PROMPTS = (
    "What is the capital of France?",
    "Write a detailed essay of 2000 words about the history of the steam engine.",
    "Translate 'good morning' into German.",
    "List ten ideas for a birthday party and explain each of them.",
    "Write a Python function that sorts a list of tuples by the second entry.",
    "",
)


def request(prompt: str = PROMPTS[0], model: str = "gpt-4", cap: int | None = None) -> RequestFeatures:
    """Return one request of one client."""
    return RequestFeatures("a", model, max(1, len(prompt) // 4), cap, prompt)


@settings(max_examples=40)
@given(st.text(max_size=500), st.text(max_size=40), st.one_of(st.none(), st.integers(1, 5000)))
def test_every_request_gets_a_law(prompt: str, model: str, cap: int | None) -> None:
    """Any text, model and cap give a valid distribution that never goes beyond the cap."""
    length = tiers.combined().predict(request(prompt, model, cap))
    assert length.levels == WIRE_LEVELS
    assert cap is None or max(length.tokens) <= cap


def test_the_run_time_computes_what_training_did() -> None:
    """The shipped tower's readings are those that the torch network gave for the same prompts."""
    golden = json.loads(GOLDEN.read_text())
    tower = FastTower(artefact.shipped().weights)
    for prompt, reading in zip(PROMPTS, golden, strict=True):
        assert tower.read(request(prompt)) == pytest.approx(reading, abs=2e-4)


def test_prompts_are_told_apart() -> None:
    """A question of fact is predicted shorter than an essay, by the weights as they come."""
    predictor = tiers.fast()
    assert predictor.predict(request(PROMPTS[0])).median < predictor.predict(request(PROMPTS[1])).median


def test_an_unknown_model_is_learnt_from_fifty_requests() -> None:
    """A model that answers at a tenth of what is usual is predicted so after 50 requests, others stay."""
    predictor = tiers.fast()
    other = predictor.predict(request(PROMPTS[3]))
    strange = [RequestFeatures("b", "zzz-strange", 10, None, prompt) for prompt in PROMPTS[:5]]
    before = [predictor.predict(each).median for each in strange]
    for turn in range(50):
        predictor.observe(strange[turn % 5], max(1, round(before[turn % 5] / 10)))
    after = [predictor.predict(each).median for each in strange]
    assert max(np.array(after) / np.array(before)) < 0.25
    assert predictor.predict(request(PROMPTS[3])).tokens == other.tokens


def test_learning_can_be_switched_off() -> None:
    """With `online` off nothing is kept and nothing changes."""
    predictor = tiers.fast(online=False)
    before = predictor.predict(request())
    for _ in range(20):
        predictor.observe(request(), 3000)
    assert predictor.predict(request()) == before
    assert not predictor._readings
    assert len(predictor._models) == 0
    both = tiers.combined(online=False)
    for _ in range(60):
        both.observe(request(), 3000)
    assert both.predict(request()).tokens == pytest.approx(before.tokens, rel=0.02)
    assert both.shares(request()) == tiers.combined().shares(request())


def test_no_text_of_a_prompt_is_kept() -> None:
    """After prediction and learning no object that the predictor reaches holds a word of the prompt."""
    predictor = tiers.combined()
    secret = request("Xylophonic zebras whisper 77441 quietly")
    predictor.predict(secret)
    predictor.observe(secret, 50)
    assert not [text for text in _strings(predictor) if "ylophonic" in text or "77441" in text]


def _strings(thing: object, seen: set[int] | None = None) -> list[str]:
    """Return every text that can be reached from an object's fields, keys and entries."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, str):
        return [thing]
    if isinstance(thing, dict):
        inner = [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple, set)) or type(thing).__name__ == "deque":
        inner = list(thing)
    else:
        slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
        inner = [getattr(thing, name, None) for name in slots] + list(getattr(thing, "__dict__", {}).values())
    return [text for each in inner for text in _strings(each, seen)]


def test_judging_is_predicting_and_observing() -> None:
    """What is judged is what would have been predicted, and teaches what an observation teaches."""
    judged, observed = tiers.fast(), tiers.fast()
    for turn in range(30):
        each = request(PROMPTS[turn % 6], cap=300 if turn % 2 else None)
        before = observed.log_tokens(each)
        observed.observe(each, 40 + turn)
        assert (judged.judged(each, 40 + turn) == before).all()
    assert judged.predict(request()) == observed.predict(request())


def test_a_manner_is_learnt_beside_its_client() -> None:
    """A client whose answers in JSON are ten times as long as its others is predicted so, both in turn."""
    predictor = tiers.fast()
    plain, structured = request(), replace(request(), response_format="json_object")
    for _ in range(60):
        predictor.observe(plain, 30)
        predictor.observe(structured, 300)
    assert predictor.predict(structured).median > 3 * predictor.predict(plain).median


def test_a_reading_is_gone_with_its_response() -> None:
    """Between prediction and response one reading is kept, also of prompts longer than what is hashed."""
    predictor = tiers.fast()
    long = request("head " * 1000 + "x" * 9000 + " tail" * 1000)
    other = request("head " * 1000 + "y" * 9000 + " tail" * 1000)
    assert predictor.predict(long) == predictor.predict(other)
    assert len(predictor._readings) == 1
    predictor.observe(long, 20)
    assert not predictor._readings


def test_history_takes_over_where_text_is_blind() -> None:
    """A client whose one prompt always has the same odd length is soon predicted by history."""
    predictor = tiers.combined()
    for _ in range(60):
        predictor.observe(request(), 1777)
    assert predictor.weights(request())[1] > 0.5 or predictor.predict(request()).median == pytest.approx(
        1777, rel=0.1
    )
    assert predictor.predict(request()).median == pytest.approx(1777, rel=0.15)


def test_a_client_without_history_is_predicted_by_text() -> None:
    """Before any request has ended, text and history together say what text says."""
    text = tiers.fast()
    assert CombinedLengthPredictor(tiers.fast()).predict(request()).median == pytest.approx(
        text.predict(request()).median, rel=0.02
    )


def test_an_artefact_survives_the_disk(tmp_path: Path) -> None:
    """What was saved is read back to the bit, twice saved is the same file, and it is a few MB."""
    shipped = artefact.shipped()
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path in paths:
        artefact.save(shipped, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size < 8_000_000
    again = artefact.load(paths[0])
    for field in fields(Weights):
        assert (getattr(again.weights, field.name) == getattr(shipped.weights, field.name)).all()
    assert again.sides.names == shipped.sides.names


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    """A file that is cut, no safetensors, of another format or holds NaN is refused with the reason."""
    path = tmp_path / "w.safetensors"
    artefact.save(artefact.shipped(), path)
    whole = path.read_bytes()
    for damaged in (b"", b"no weights at all", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ArtefactError):
            artefact.load(path)
    tensors.write(path, {"a": np.zeros(3, np.float32)}, {"format": "other"})
    with pytest.raises(ArtefactError, match="format 'other'"):
        artefact.load(path)
    tensors.write(path, {"a": np.full(3, np.nan, np.float32)}, {})
    with pytest.raises(ArtefactError, match="finite"):
        artefact.load(path)


def test_an_explanation_names_the_words() -> None:
    """The explanation says the law, whether the model is known, and words of the prompt with their effect."""
    lines = list(explanation(artefact.shipped(), PROMPTS[1], "no-such-model", 300))
    assert lines[0].startswith("output tokens: 5 % within")
    assert "unknown" in lines[1]
    assert any("makes the median" in line for line in lines)


def test_the_golden_readings_are_whole() -> None:
    """The golden file has a finite reading for each prompt."""
    golden = json.loads(GOLDEN.read_text())
    assert [len(reading) for reading in golden] == [READING] * len(PROMPTS)
    assert all(math.isfinite(value) for reading in golden for value in reading)


def test_torch_and_numpy_agree() -> None:
    """Where torch is installed, a student with random weights and its export read texts alike."""
    torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
    from presage_predictors.lengths.training.student import (  # noqa: PLC0415 - loads torch
        Student,
        Table,
        Texts,
    )

    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    readings = [read(request(prompt)) for prompt in PROMPTS]
    texts = Texts(readings)
    table = Table(rng.normal(size=(WORD_ROWS, WORD_WIDTH)).astype(np.float32), texts.attention(np.arange(3)))
    mean = np.zeros(len(SIGNALS), np.float32)
    student = Student(texts, table.means(texts), torch.from_numpy(texts.signals))
    student.round_pairs()
    tower = FastTower(student.exported(table, mean, mean + 1))
    wanted = student.readings().numpy()
    for reading, row in zip(readings, wanted, strict=True):
        assert tower.forward(reading) == pytest.approx(row, abs=1e-4)


def test_text_predictor_needs_no_cache() -> None:
    """A prediction is the same whether the reading was kept or made anew."""
    shipped = artefact.shipped()
    kept, fresh = (TextLengthPredictor(FastTower(shipped.weights), shipped.sides) for _ in range(2))
    first = kept.predict(request())
    assert kept.predict(request()) == first == fresh.predict(request())
