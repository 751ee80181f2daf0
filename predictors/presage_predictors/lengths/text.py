"""A prompt as numbers, in a hundred microseconds: hashed words, hashed word pairs and a few plain signals.

A sidecar reads every prompt, so the reading is bounded: of a long one only head and tail count, where
the task and the last question stand. Nothing of the text leaves here but hashes and counts. (Ours.)
"""

import math
import re
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from presage_policies.lengths import RequestFeatures

HEAD_CHARACTERS = 1200
TAIL_CHARACTERS = 400
MOST_WORDS = 192  # of head and tail together
OPENING_WORDS = 12  # these say what is wanted: "write a short poem about"
ENDING_WORDS = 24  # and these, how: "in three sentences"
WORD_ROWS = 1 << 15  # rows of the table of words
PAIR_ROWS = 1 << 14  # and of the table of word pairs
_TAIL_WORDS = MOST_WORDS // 4
_HEAD_WORDS = MOST_WORDS - _TAIL_WORDS
_STRIDE = 128  # bytes that are cut into words at a time until there are enough
_TAIL_STRIDE = 384  # bytes that mostly have enough words for the tail
_WORD = re.compile(rb"[a-z]+|[0-9]+|[\x80-\xff]{1,12}|[^\sa-z0-9\x80-\xff]")
_PAIR_FACTOR = np.uint32(0x9E3779B1)  # 2^32 over the golden ratio: spreads pairs that differ little
_NUMBERS = {
    b"a": 1, b"an": 1, b"one": 1, b"single": 1, b"two": 2, b"couple": 2, b"three": 3, b"four": 4, b"five": 5,
    b"six": 6, b"seven": 7, b"eight": 8, b"nine": 9, b"ten": 10, b"hundred": 100,
}  # fmt: skip
# What a unit of text has in tokens, roughly, in English prose.
_UNITS = {
    **dict.fromkeys((b"word", b"words"), 1.35),
    **dict.fromkeys((b"token", b"tokens"), 1.0),
    **dict.fromkeys((b"character", b"characters", b"letters"), 0.25),
    **dict.fromkeys((b"sentence", b"sentences"), 25.0),
    **dict.fromkeys((b"line", b"lines", b"bullet", b"bullets"), 15.0),
    **dict.fromkeys((b"paragraph", b"paragraphs", b"stanza", b"stanzas"), 100.0),
    **dict.fromkeys((b"page", b"pages"), 600.0),
}
_COUNTED = {
    b"examples", b"ideas", b"ways", b"reasons", b"tips", b"steps", b"items", b"points", b"questions",
    b"names", b"things", b"facts", b"titles", b"options", b"suggestions", b"topics", b"sections",
}  # fmt: skip
_COUNTABLE = _COUNTED.union(_UNITS)
_LOOK_BACK = 3  # words between a number and its unit: "in 50 to 60 short words"
_LAST_ASCII = 0x7F
_DIGITS, _CAPITALS, _CODE = b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"{}();=<>_"
_CAPITALS_AMONG = 200  # characters
_LARGEST_NUMBER = 5  # digits; a longer one counts no words
_SEPARATOR, _GROUP = b",", 3  # between thousands, and the digits that follow one
LOG_TOKENS_ASKED = 4.0  # where the signal of the tokens asked for is 0: 55 tokens
SIGNALS = (
    "prompt tokens", "characters", "tokens a character", "words read", "new lines", "questions", "digits",
    "capitals", "beyond ASCII", "code marks", "quotes", "fences", "tools", "ends in colon", "ends in mark",
    "length asked", "tokens asked", "count asked", "number counted", "cut short",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """What is kept of a prompt: rows of its words and of its word pairs (int64), and `SIGNALS` (float32)."""

    words: NDArray[np.int64]
    pairs: NDArray[np.int64]
    signals: NDArray[np.float32]


def read(features: RequestFeatures) -> Reading:
    """Return the numbers that a request's prompt is judged by; bounded work for a prompt of any length."""
    prompt = features.prompt
    if len(prompt) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        shown = f"{prompt[:HEAD_CHARACTERS]}\n{prompt[-TAIL_CHARACTERS:]}"
    else:
        shown = prompt
    text = shown.lower().encode("utf-8", "replace")
    words = _words(text)
    hashes = np.fromiter(map(zlib.crc32, words), dtype=np.uint32, count=len(words))
    pairs = (hashes[:-1] * _PAIR_FACTOR) ^ hashes[1:]
    signals = _signals(features, shown, words, _asked_length(words, text))
    return Reading(_rows(hashes, WORD_ROWS), _rows(pairs * _PAIR_FACTOR, PAIR_ROWS), signals)


def _words(text: bytes) -> list[bytes]:
    """Return a text's words, of many only the first and the last: those between are hardly looked at."""
    words: list[bytes] = []
    begin = 0
    while begin < len(text) and len(words) <= _HEAD_WORDS:
        end = text.find(b" ", begin + _STRIDE)  # no word has a space in it: none is cut in two
        end = len(text) if end < 0 else end
        words += _WORD.findall(text, begin, end)
        begin = end
    ending = max(begin, text.rfind(b" ", begin, max(begin, len(text) - _TAIL_STRIDE)))
    last = _WORD.findall(text, ending)
    if ending > begin and len(last) < _TAIL_WORDS:
        last = _WORD.findall(text, begin)
    if len(words) + len(last) > MOST_WORDS:
        return words[:_HEAD_WORDS] + (words + last)[-_TAIL_WORDS:]
    return words + last


def word_row(word: str) -> int:
    """Return the row of the table of words that a word (lower case) is found in."""
    return zlib.crc32(word.encode()) % WORD_ROWS


def _rows(hashes: NDArray[np.uint32], count: int) -> NDArray[np.int64]:
    return (hashes % np.uint32(count)).astype(np.int64)


def _signals(
    features: RequestFeatures, shown: str, words: list[bytes], asks: tuple[float, float]
) -> NDArray[np.float32]:
    """Return `SIGNALS`, each of the order of one; `asks` are the tokens and things asked for."""
    characters = len(features.prompt)
    size = max(1, len(shown))
    letters = shown.encode("utf-8", "replace")
    ending = shown.rstrip()[-1:]
    beyond = 0 if shown.isascii() else sum(word[0] > _LAST_ASCII for word in words)
    asked, counted = asks
    return np.array(
        [
            math.log1p(features.prompt_tokens) - 4,
            math.log1p(characters) - 5,
            math.log((features.prompt_tokens + 1) / (characters + 4)) + 1.4,
            math.log1p(len(words)) - 4,
            math.log1p(shown.count("\n")),
            math.log1p(shown.count("?")),
            10 * _count(letters, _DIGITS) / size,
            10 * _capitals(shown[:_CAPITALS_AMONG]) / min(size, _CAPITALS_AMONG),
            beyond / max(1, len(words)),
            10 * _count(letters, _CODE) / size,
            10 * (shown.count('"') + shown.count("'")) / size,
            float("```" in shown),
            float(features.tools),
            float(ending == ":"),
            float(ending in "?.!"),
            float(asked > 0),
            math.log(asked) - LOG_TOKENS_ASKED if asked > 0 else 0.0,
            float(counted > 0),
            math.log1p(counted),
            float(characters > len(shown)),
        ],
        dtype=np.float32,
    )


def _count(letters: bytes, marks: bytes) -> int:
    return len(letters) - len(letters.translate(None, marks))


def _capitals(shown: str) -> int:
    return _count(shown.encode(), _CAPITALS) if shown.isascii() else sum(map(str.isupper, shown))


def _asked_length(words: list[bytes], text: bytes) -> tuple[float, float]:
    """Return the tokens that the prompt asks for in so many words (0: none), and the number of things."""
    tokens = counted = 0.0
    for place in [place for place, word in enumerate(words) if word in _COUNTABLE]:
        unit = _UNITS.get(words[place])
        for before in range(place - 1, max(0, place - _LOOK_BACK) - 1, -1):
            word = _joined(words, before, text)
            number = _number(word)
            if number:
                tokens, counted = (tokens, float(number)) if unit is None else (number * unit, counted)
            if number or _SEPARATOR in word[1:]:  # one too large is not to be read in parts
                break
    return tokens, counted


def _number(word: bytes) -> int:
    """Return the number that a word or joined digits are, 0 for none or too large a one."""
    digits = word.replace(_SEPARATOR, b"")
    if digits.isdigit():
        return int(digits) if len(digits) <= _LARGEST_NUMBER else 0
    return _NUMBERS.get(word, 0)


def _joined(words: list[bytes], place: int, text: bytes) -> bytes:
    """Return the word at a place; digits, with the groups of thousands before them ("2,000" is three words).

    Words do not tell "2,000 words" from "2, 000 words", so the text must have them joined.
    """
    joined = group = words[place]
    while group.isdigit() and len(group) == _GROUP and place > 1 and words[place - 1] == _SEPARATOR:
        place -= 2
        group = words[place]
        longer = group + _SEPARATOR + joined
        if not (group.isdigit() and len(group) <= _GROUP and longer in text):
            break
        joined = longer
    return joined
