"""Reading prompts: bounded, blind to what it must not keep, and able to hear a length asked for."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_policies.lengths import RequestFeatures
from presage_predictors.lengths.names import NAME_ROWS, name_grams
from presage_predictors.lengths.text import (
    _WORD,
    HEAD_CHARACTERS,
    MOST_WORDS,
    PAIR_ROWS,
    SIGNALS,
    TAIL_CHARACTERS,
    WORD_ROWS,
    read,
)


def request(prompt: str) -> RequestFeatures:
    """Return a request of which only the prompt matters."""
    return RequestFeatures("a", "m", 10, None, prompt)


@settings(max_examples=80)
@given(st.text(max_size=3000))
def test_any_text_is_read(prompt: str) -> None:
    """Whatever the text, rows lie in their tables, signals are finite and there is a bound on words."""
    reading = read(request(prompt))
    assert len(reading.words) <= MOST_WORDS
    assert len(reading.pairs) == max(0, len(reading.words) - 1)
    assert ((reading.words >= 0) & (reading.words < WORD_ROWS)).all()
    assert ((reading.pairs >= 0) & (reading.pairs < PAIR_ROWS)).all()
    assert reading.signals.shape == (len(SIGNALS),)
    assert np.isfinite(reading.signals).all()


def test_the_middle_of_a_long_prompt_is_not_read() -> None:
    """Two long prompts that differ in the middle only are read alike; head and tail are seen."""
    head, tail = "h " * (HEAD_CHARACTERS // 2), "t " * (TAIL_CHARACTERS // 2)
    one, other = read(request(head + "x" * 5000 + tail)), read(request(head + "y" * 5000 + tail))
    assert (one.words == other.words).all()
    assert (one.signals == other.signals).all()
    assert (read(request("z" + head + "x" * 5000 + tail)).words[0]) != one.words[0]


WORDS = st.sampled_from(
    ["a", "Zebra", "ten", "words", "x" * 300, "(1+2)*3;", "été", "你好" * 30, "\n", "?!", "99"]
)


@settings(max_examples=80)
@given(st.lists(WORDS, max_size=400), st.sampled_from([" ", "", "  ", "\n"]))
def test_the_words_are_the_first_and_the_last_of_all(parts: list[str], between: str) -> None:
    """However long a text, its rows are those of the first 144 and last 48 of all words of what is shown."""
    prompt = between.join(parts)
    shown = prompt
    if len(prompt) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        shown = f"{prompt[:HEAD_CHARACTERS]}\n{prompt[-TAIL_CHARACTERS:]}"
    every = _WORD.findall(shown.lower().encode())
    chosen = every if len(every) <= MOST_WORDS else every[:144] + every[-48:]
    assert read(request(prompt)).words.tolist() == [zlib.crc32(word) % WORD_ROWS for word in chosen]


@settings(max_examples=80)
@given(st.text("aB9É(;é_=😀", max_size=300))
def test_signals_count_characters(prompt: str) -> None:
    """Digits, code marks and capitals are counted as Python counts characters, in any script."""
    signals = dict(zip(SIGNALS, read(request(prompt)).signals, strict=True))
    size = max(1, len(prompt))
    assert signals["digits"] == pytest.approx(10 * prompt.count("9") / size, abs=1e-6)
    assert signals["code marks"] == pytest.approx(10 * sum(map(prompt.count, "(;_=")) / size, abs=1e-6)
    capitals = sum(map(str.isupper, prompt[:200]))
    assert signals["capitals"] == pytest.approx(10 * capitals / min(size, 200), abs=1e-6)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("Write it in 50 words.", 50 * 1.35),
        ("Summarise this in one sentence", 25),
        ("an essay of three short paragraphs", 300),
        ("Tell me about words and sentences", 0),
        ("answer 12345678 words", 0),
        ("an essay of 2,000 words", 2000 * 1.35),
        ("A 12,500-word story", 12500 * 1.35),
        ("between 1,500 and 3,000 very good words", 3000 * 1.35),
        ("see chapters 1, 200 words", 200 * 1.35),
        ("see chapters 7, 2,000 words", 2000 * 1.35),
        ("figures 12,34 words", 34 * 1.35),
        ("answer 1,000,000 words", 0),
        ("chapter 7, 200,000 words", 0),
        ("Figures,and words", 0),
    ],
)
def test_a_length_asked_for_is_heard(prompt: str, tokens: float) -> None:
    """A number before a unit of text, thousands apart or not, is a length asked for; absurd ones are not."""
    signals = dict(zip(SIGNALS, read(request(prompt)).signals, strict=True))
    assert signals["length asked"] == (tokens > 0)
    if tokens:
        assert signals["tokens asked"] == pytest.approx(np.log(tokens) - 4, abs=1e-5)


def test_names_of_kin_are_alike() -> None:
    """Names that share most of their letters give nearer vectors than names that do not."""
    one, kin, stranger = (name_grams(name) for name in ("llama-2-7b-chat", "llama-2-13b-chat", "gpt-4-turbo"))
    assert one.shape == (NAME_ROWS,)
    assert one @ kin > 0.5 > one @ stranger
