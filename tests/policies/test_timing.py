"""The time model: profiles say where they come from, errors name the key, more work takes longer."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_policies.engine import (
    BatchShape,
    EngineProfile,
    decode_seconds,
    iteration_seconds,
    prefill_seconds,
)
from presage_policies.profiles import load_profile, shipped_profiles

GOOD = {
    "name": "x",
    "coefficients": {
        "fixed": 0.01,
        "per_token": 1e-5,
        "per_sequence": 1e-6,
        "per_kv_token": 1e-7,
        "per_prefill_attention": 1e-9,
    },
    "kv_capacity_tokens": 1024,
}
PROFILE = EngineProfile.from_mapping(GOOD)


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_load_and_tell_their_source(name: str) -> None:
    """Every shipped profile loads under its file's name, with source, licence and fit error."""
    profile = load_profile(name)
    assert profile.name == name
    assert "licence" in profile.source
    assert "MAPE" in profile.fit_error
    assert 0.005 < decode_seconds(profile, 1, 1000) < 0.1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kv_capacity": 5}, "unknown key 'kv_capacity'"),
        ({"coefficients": {}}, r"coefficients\.fixed is missing"),
        ({"coefficients": 3}, "coefficients is 3"),
        ({"coefficients": {**GOOD["coefficients"], "fixed": "1e-3"}}, r"coefficients\.fixed is '1e-3'"),  # type: ignore[dict-item]  # a test's plain mapping
        ({"coefficients": {**GOOD["coefficients"], "per_kv_token": -1.0}}, "per_kv_token"),  # type: ignore[dict-item]  # a test's plain mapping
        ({"coefficients": {**GOOD["coefficients"], "per_sequence": -1.0}}, "per_sequence"),  # type: ignore[dict-item]  # a test's plain mapping
        ({"kv_capacity_tokens": 0}, "kv_capacity_tokens is 0"),
        ({"block_tokens": 1.5}, "block_tokens is 1.5"),
        ({"kv_capacity_tokens": 8}, "less than one block"),
    ],
)
def test_bad_profiles_name_the_key(change: dict[str, object], named: str) -> None:
    """A profile that cannot be is refused with the key and its value."""
    with pytest.raises(ValueError, match=named):
        EngineProfile.from_mapping({**GOOD, **change})


def test_unknown_names_list_what_ships(tmp_path: Path) -> None:
    """An unknown profile's error lists the shipped ones; an unreadable path is named."""
    with pytest.raises(ValueError, match=r"rtx4090-llama-3\.1-8b"):
        load_profile("h1000")
    with pytest.raises(ValueError, match=r"none\.yaml"):
        load_profile(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("[")
    with pytest.raises(ValueError, match="not YAML"):
        load_profile(broken)


def test_profiles_load_from_a_path(tmp_path: Path) -> None:
    """A profile of one's own loads from a file."""
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\nkv_capacity_tokens: 160\ncoefficients:\n  fixed: 0.01\n  per_token: 1.0e-5\n"
        "  per_sequence: 0\n  per_kv_token: 0\n  per_prefill_attention: 0\n"
    )
    assert load_profile(path).kv_blocks == 10


@given(st.integers(1, 20000), st.integers(0, 20000), st.integers(0, 100), st.integers(0, 40000))
def test_prefill_equals_its_chunks(prompt: int, cached: int, sequences: int, kv: int) -> None:
    """The closed form of a prefill is the sum of the iterations that its chunks run in."""
    beside = BatchShape.decoding(sequences, kv if sequences else 0)
    done = max(0, min(cached, prompt - 1))
    expected, left = 0.0, prompt - done
    while left > 0:
        chunk = min(left, PROFILE.token_budget - sequences)
        expected += iteration_seconds(PROFILE, beside.plus(BatchShape.prefill(chunk, done)))
        done, left = done + chunk, left - chunk
    assert prefill_seconds(PROFILE, prompt, cached, beside) == pytest.approx(expected, rel=1e-6)


def test_nothing_takes_no_time() -> None:
    """An empty iteration takes none, and decoding more or longer sequences takes longer."""
    assert iteration_seconds(PROFILE, BatchShape.EMPTY) == 0
    assert decode_seconds(PROFILE, 1, 100) < decode_seconds(PROFILE, 2, 100) < decode_seconds(PROFILE, 2, 200)
