"""A model's name as numbers: what a name tells of a model that was never seen.

Names of models carry kinship ("llama-2-13b-chat", "gpt-4-turbo"): character n-grams let an unknown model
begin where its relatives stand. (Ours.)
"""

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

NAME_ROWS = 512
_GRAMS = (3, 4, 5)
_LONGEST_NAME = 128  # characters read
_KEPT_NAMES = 256


@lru_cache(maxsize=_KEPT_NAMES)
def name_grams(model: str) -> NDArray[np.float32]:
    """Return the hashed character n-grams of a model's name, a vector of `NAME_ROWS` of length 1."""
    name = f"^{model[:_LONGEST_NAME].lower().replace('_', '-')}$"
    counts = np.zeros(NAME_ROWS, np.float32)
    for size in _GRAMS:
        for place in range(len(name) - size + 1):
            counts[zlib.crc32(name[place : place + size].encode()) % NAME_ROWS] += 1
    counts /= max(1.0, float(np.linalg.norm(counts)))
    counts.flags.writeable = False
    return counts


def name_key(model: str) -> str:
    """Return the key that a model is stored under: its name as it is written, cut at what is read."""
    return model[:_LONGEST_NAME]
