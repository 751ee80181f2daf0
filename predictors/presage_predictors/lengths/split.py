"""The development split: which prompts, models and sources are kept from training to judge it by.

By hash, so that a row's part depends on nothing but itself: new prompts (to known models), whole families of
models (a family with all its sampling settings), whole sources. (Ours.)
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from presage_predictors.lengths.pairs import Pairs

PROMPT_SHARE = 0.15
MODEL_SHARE = 0.06
SOURCES = ("livecodebench", "self_instruct_eval")  # code of the newest models, and GPT-3's earliest answers
PARTS = ("prompts", "models", "sources")


def is_share(key: str, purpose: str, share: float) -> bool:
    """Return whether a key falls in a share of all keys, by its hash; purposes are independent."""
    digest = hashlib.sha256(f"{purpose}:{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share


def family(model: str) -> str:
    """Return a model's name without a sampling setting in brackets."""
    return model.split(" [", 1)[0]


def parts(pairs: Pairs) -> NDArray[np.str_]:
    """Return the part of each row: `train`, or the one of `PARTS` that keeps it from training."""
    new_prompt = np.array([is_share(prompt, "test", PROMPT_SHARE) for prompt in pairs.prompts])
    names, place = np.unique(pairs.models, return_inverse=True)
    new_model = np.array([is_share(family(str(name)), "model", MODEL_SHARE) for name in names])
    kinds = [np.isin(pairs.sources, SOURCES), new_model[place], new_prompt[pairs.prompt_of]]
    return np.select(kinds, ["sources", "models", "prompts"], default="train")


def part_of(pairs: Pairs, name: str) -> NDArray[np.int64]:
    """Return the rows of one of `PARTS`, or of `train`. Raises ValueError for another name."""
    if name not in (*PARTS, "train"):
        raise ValueError(f"the part is {name!r}: give one of {', '.join((*PARTS, 'train'))}")
    return np.flatnonzero(parts(pairs) == name)
